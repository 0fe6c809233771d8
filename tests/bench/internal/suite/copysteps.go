package suite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/client"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// run does everything on one filesystem. The first round of all is not measured: in it
// connections are made, and caches filled.
func (s *copies) run() error {
	warm := *s
	warm.Creates, warm.Rounds, warm.Files, warm.result = 2, 1, nil, &report.Copies{}
	if len(s.Sizes) > 0 {
		warm.Sizes = []int64{mib}
	}
	for _, part := range []*copies{&warm, s} {
		if err := part.all(); err != nil {
			return err
		}
	}
	return nil
}

func (s *copies) all() error {
	if err := s.creates(); err != nil {
		return err
	}
	for _, size := range s.Sizes {
		if s.filesystem == "tmpfs" && size > mostInMemory {
			continue
		}
		source := &client.Volume{Name: fmt.Sprintf("file-%d", size), Bytes: size + size/8 + 16*mib}
		if err := s.copied(source, size, 1, func(at string) error { return writeFile(filepath.Join(at, "file"), size) }); err != nil {
			return err
		}
	}
	for _, n := range s.Files {
		if n == 0 {
			continue
		}
		size := int64(n) * smallFile
		source := &client.Volume{Name: fmt.Sprintf("files-%d", n), Bytes: 2*size + 64*mib}
		if err := s.copied(source, size, n, func(at string) error { return writeFiles(at, n) }); err != nil {
			return err
		}
	}
	return nil
}

// creates creates empty volumes.
func (s *copies) creates() error {
	s.log.Printf("%s: %d empty volumes", s.filesystem, s.Creates)
	series := &report.CopySeries{CopyRow: report.CopyRow{Filesystem: s.filesystem, Operation: report.Create}}
	if s.floor.Limits() {
		series.Operation = report.CreateLimited
	}
	for i := range s.Creates {
		name := fmt.Sprint("empty-", i)
		bare, err := timed(func() error { return s.floor.CreateLimited(name, 64*mib) })
		if err != nil {
			return err
		}
		v := &client.Volume{Name: name, Bytes: 64 * mib}
		took, err := timed(func() error { return s.driver.client.Create(s.driver.ctx, 0, v) })
		if err := errors.Join(err, s.floor.Remove(name)); err != nil {
			return err
		}
		series.Add(took, bare)
		if err := s.driver.client.Delete(s.driver.ctx, 0, v); err != nil {
			return err
		}
	}
	s.result.Rows = append(s.result.Rows, series.Row())
	return s.sync()
}

// copied makes a volume, fills it, and has it copied in every way, again and again.
func (s *copies) copied(source *client.Volume, bytes int64, files int, fill func(at string) error) error {
	ctx, c := s.driver.ctx, s.driver.client
	s.log.Printf("%s: filling %s", s.filesystem, source.Name)
	if err := c.Create(ctx, 0, source); err != nil {
		return err
	}
	at := filepath.Join(s.disk, "pool", "volumes", source.ID())
	if err := errors.Join(fill(at), s.sync()); err != nil {
		return err
	}
	var all []*report.CopySeries
	for _, operation := range []string{report.Snapshot, report.Restore, report.Clone} {
		all = append(all, &report.CopySeries{CopyRow: report.CopyRow{Filesystem: s.filesystem, Operation: operation, Bytes: bytes, Files: files,
			Copies: s.filesystem != "btrfs" && s.filesystem != "xfs"}})
	}
	began := time.Now()
	for round := 0; round < s.Rounds && (round == 0 || time.Since(began) < s.Patience); round++ {
		s.log.Printf("%s: copies of %s: round %d of %d", s.filesystem, source.Name, round+1, s.Rounds)
		if err := s.copyRound(ctx, all, source, at, fmt.Sprintf("%s-%d", source.Name, round)); err != nil {
			return err
		}
	}
	for _, series := range all {
		s.result.Rows = append(s.result.Rows, series.Row())
	}
	return errors.Join(c.Delete(ctx, 0, source), s.sync())
}

// copyRound takes a snapshot, restores it, and clones the volume: each beside the floor.
func (s *copies) copyRound(ctx context.Context, all []*report.CopySeries, source *client.Volume, at, name string) error {
	c := s.driver.client
	var id string
	err := s.pair(all[0], at, func() (err error) {
		id, err = c.TakeSnapshot(ctx, 0, name+"-s", source)
		return err
	})
	if err != nil {
		return err
	}
	snapshot := filepath.Join(s.disk, "pool", "snapshots", id)
	restored := &client.Volume{Name: name + "-r", Bytes: source.Bytes, From: client.FromSnapshot(id)}
	if err := s.pair(all[1], snapshot, func() error { return c.Create(ctx, 0, restored) }); err != nil {
		return err
	}
	if err := errors.Join(c.Delete(ctx, 0, restored), c.DeleteSnapshot(ctx, 0, id)); err != nil {
		return err
	}
	clone := &client.Volume{Name: name + "-c", Bytes: source.Bytes, From: client.FromVolume(source)}
	if err := s.pair(all[2], at, func() error { return c.Create(ctx, 0, clone) }); err != nil {
		return err
	}
	return c.Delete(ctx, 0, clone)
}

// pair has the floor copy a directory, and then the driver. Of a large file that is really
// copied, nothing is in memory before.
func (s *copies) pair(to *report.CopySeries, from string, do func() error) error {
	bareCopy := s.floor.Tree
	if to.Files == 1 {
		bareCopy = s.floor.File
	}
	if err := s.forget(to, from); err != nil {
		return err
	}
	const name = "copy"
	bare, err := timed(func() error { return bareCopy(from, name) })
	if err := errors.Join(err, s.floor.Remove(name)); err != nil {
		return err
	}
	if err := s.forget(to, from); err != nil {
		return err
	}
	took, err := timed(do)
	if err != nil {
		return err
	}
	to.Add(took, bare)
	return nil
}

// forget waits until everything is at rest, and drops what the kernel has of the file.
func (s *copies) forget(to *report.CopySeries, from string) error {
	if err := s.sync(); err != nil || !to.Copies || to.Files > 1 {
		return err
	}
	f, err := os.Open(filepath.Join(from, "file"))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

func timed(do func() error) (time.Duration, error) {
	began := time.Now()
	err := do()
	return time.Since(began), err
}

// writeFile writes bytes that no filesystem can make less of.
func writeFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	chunk := make([]byte, mib)
	_, _ = rand.Read(chunk) // it cannot fail
	for written := int64(0); written < size; written += mib {
		copy(chunk, fmt.Sprint(written)) // no two of them are the same
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return f.Sync()
}

// writeFiles writes small files into directories of a thousand.
func writeFiles(at string, n int) error {
	data := make([]byte, smallFile)
	_, _ = rand.Read(data)
	for i := range n {
		dir := filepath.Join(at, fmt.Sprint(i/1000))
		if i%1000 == 0 {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
