package pebble

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Options say how Open goes about it. The zero value opens a store that exists.
type Options struct {
	// Create lets Open start an empty store in a directory that holds none.
	Create bool

	// For tests: the filesystem below the database, the room there is on the
	// disk, and the clock.
	fs   vfs.FS
	disk func(dir string) (disk, error)
	now  func() time.Time
}

func (o Options) withDefaults() Options {
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.disk == nil {
		o.disk = statDisk
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// Store is the embedded state.Store.
type Store struct {
	dir     string
	uuid    string
	options Options
	lock    *os.File
	db      *pebbledb.DB
	seals   *sealFS
	health  *health

	commitDuration prometheus.Histogram

	// Every call holds life for reading while it lasts, so that Close waits for
	// all of them. No call makes another one.
	life   sync.RWMutex
	closed bool

	// syncing counts the durable commits in flight.
	syncing atomic.Int64

	volumes   *records[state.VolumeSpec, state.VolumeStatus]
	snapshots *records[state.SnapshotSpec, state.SnapshotStatus]
	nodes     *records[state.NodeSpec, state.NodeStatus]
}

var _ state.Store = (*Store)(nil)

// Open opens the store in dir, which one process at a time can do.
//
// Errors carry a Reason: InUse if a process has the store open, Unsupported if a
// newer version of this program wrote it, NotFound if there is none and
// Options.Create is not set, Unavailable if the disk does not allow it, and Corrupt
// if what is there is not, or not all of, what was stored.
func Open(dir string, options Options) (*Store, error) {
	options = options.withDefaults()
	if options.Create {
		if err := makeDir(dir); err != nil {
			return nil, state.Errorf(state.Unavailable, "creating the state directory: %w", err)
		}
	}
	lock, err := acquireLock(dir)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(dir, options)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	klog.V(2).InfoS("Opened the state store", "dir", dir, "store", s.uuid)
	return s, nil
}

func openLocked(dir string, options Options) (*Store, error) {
	if err := options.checkDisk(dir, openReserve); err != nil {
		return nil, err
	}
	known, err := identify(dir, options)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, uuid: known.UUID, options: options, health: newHealth(options.now), commitDuration: newCommitDuration()}
	s.db, s.seals, err = openDatabase(filepath.Join(dir, databaseDir), options.fs, s.health, known.Seal)
	if err != nil {
		return nil, err
	}
	if err := s.admit(known.identity); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.volumes = &records[state.VolumeSpec, state.VolumeStatus]{
		store: s, kind: "volume", prefix: "v/", valid: state.ValidID,
		phase:     func(u *state.VolumeStatus) state.Phase { return u.Phase },
		committed: func() { crash.Step(crash.StoreCommitted) },
	}
	s.snapshots = &records[state.SnapshotSpec, state.SnapshotStatus]{
		store: s, kind: "snapshot", prefix: "s/", valid: state.ValidID,
		phase:     func(u *state.SnapshotStatus) state.Phase { return u.Phase },
		committed: func() { crash.Step(crash.StoreCommitted) },
	}
	s.nodes = &records[state.NodeSpec, state.NodeStatus]{
		store: s, kind: "node", prefix: "n/", valid: state.ValidNodeID,
	}
	return s, nil
}

// admit compares the open database with the sentinel, and begins the log of this
// run with a durable commit, from which a seal can speak of that log.
func (s *Store) admit(id identity) error {
	stored, err := readIdentity(s.db)
	switch {
	case err != nil:
		return damaged(s.dir, "%w", err)
	case stored.Schema > schema:
		return newer(s.dir, stored.Schema)
	case stored != id:
		return damaged(s.dir, "%s speaks of store %s, but the database is store %s", sentinelFile, id.UUID, stored.UUID)
	}
	if err := s.commit(pebbledb.Sync, nil); err != nil {
		return err
	}
	return s.leaveSeal()
}

// leaveSeal writes the present seal into the sentinel.
func (s *Store) leaveSeal() error {
	return writeSentinel(s.dir, sentinel{identity{s.uuid, schema}, s.seals.current()})
}

// Volumes returns the records of volumes.
func (s *Store) Volumes() state.Owned[state.VolumeSpec, state.VolumeStatus] { return s.volumes }

// Snapshots returns the records of snapshots.
func (s *Store) Snapshots() state.Owned[state.SnapshotSpec, state.SnapshotStatus] {
	return s.snapshots
}

// Nodes returns the records of nodes.
func (s *Store) Nodes() state.Owned[state.NodeSpec, state.NodeStatus] { return s.nodes }

// UUID names this store.
func (s *Store) UUID() string { return s.uuid }

// Close ends the store after the calls in flight, and the watches with it. Every
// later call fails with Unavailable; a second Close does nothing.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.volumes.changes.Close()
	s.snapshots.changes.Close()
	s.nodes.changes.Close()
	err := s.db.Close()
	if err == nil {
		err = s.leaveSeal()
	}
	if err := errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("closing the state store in %s: %w", s.dir, err)
	}
	return nil
}

// enter begins a call, which ends with s.life.RUnlock.
func (s *Store) enter() error {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return state.Errorf(state.Unavailable, "the state store in %s is closed", s.dir)
	}
	return nil
}

// commit stores what edit puts into the batch (nothing if edit is nil), atomically.
// Concurrent commits with pebbledb.Sync share one fsync.
func (s *Store) commit(how *pebbledb.WriteOptions, edit func(*pebbledb.Batch) error) error {
	defer func() {
		// Pebble panics if its log failed before; see the package comment.
		if p := recover(); p != nil {
			die("committing to the state store: %v", p)
		}
	}()
	if how.Sync {
		s.syncing.Add(1)
		defer s.syncing.Add(-1)
		began := time.Now()
		defer func() { s.commitDuration.Observe(time.Since(began).Seconds()) }()
	}
	batch := s.db.NewBatch()
	err := batch.LogData(s.seals.current().encode(), nil)
	if err == nil && edit != nil {
		err = edit(batch)
	}
	if err == nil {
		err = batch.Commit(how)
	}
	if err == nil {
		err = batch.Close()
	}
	if err != nil {
		return state.Errorf(state.Unavailable, "committing to the state store in %s: %w", s.dir, err)
	}
	if how.Sync {
		s.health.wrote()
	}
	return nil
}

// settle returns once everything that was visible when it was called is durable,
// as far as it was meant to be: the log is one sequence, so a later durable commit
// says that all earlier ones are.
func (s *Store) settle() error {
	if s.syncing.Load() == 0 {
		return nil
	}
	return s.commit(pebbledb.Sync, nil)
}
