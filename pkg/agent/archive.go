package agent

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// dispose does with an entry of the trash what its volume's onDelete asks for, and tells
// whether it was kept; otherwise it is to be removed. Not knowing is an error: what was
// to be kept is never removed for that.
func (a *Agent) dispose(ctx context.Context, p *nodePool, b backend.Backend, entry string) (kept bool, err error) {
	fate, err := b.Fate(entry)
	if err != nil {
		return false, err
	}
	switch fate.OnDelete {
	case state.OnDeleteArchive:
		name, err := b.Archive(entry)
		if err != nil {
			return false, err
		}
		klog.InfoS("Archived a deleted volume", "pool", p.o.Name, "entry", entry, "as", name)
		return true, nil
	case state.OnDeleteScrub:
		began, files := time.Now(), 0
		if err := b.Scrub(ctx, entry, func(n int) { files += n }); err != nil {
			return false, err
		}
		klog.InfoS("Overwrote a deleted volume", "pool", p.o.Name, "entry", entry, "files", files, "took", time.Since(began).Round(time.Millisecond))
		crash.Step(crash.PurgeScrubbed)
	}
	return false, nil
}

// expire moves to the trash what has been in the archive for as long as it is kept.
func (a *Agent) expire(ctx context.Context, p *nodePool, b backend.Backend) {
	keep := p.options().ArchiveRetention
	if keep == 0 {
		return
	}
	all, err := b.Archived()
	if err != nil {
		klog.ErrorS(err, "The archive cannot be read", "pool", p.o.Name)
		return
	}
	for _, entry := range all {
		if entry.Volume == nil || time.Since(entry.DeletedAt) < keep {
			continue
		}
		err := b.Expire(entry.Name, func(heir *state.Meta) error { return a.becomesNone(ctx, entry.Name, heir) })
		if reason := state.ReasonOf(err); reason == state.AlreadyExists || reason == state.NotFound { // it comes back, or did
			continue
		}
		if err != nil {
			klog.ErrorS(err, "Removing a volume from the archive failed; it will be tried again", "pool", p.o.Name, "entry", entry.Name)
			continue
		}
		klog.InfoS("A volume was archived for as long as it is kept; it is removed", "pool", p.o.Name, "entry", entry.Name, "deletedAt", entry.DeletedAt)
	}
}

// countArchive puts what the archive may take into the account, so that it is not
// promised again.
func (p *nodePool) countArchive(b backend.Backend) {
	p.archiveMu.Lock()
	defer p.archiveMu.Unlock()
	all, err := b.Archived()
	if err != nil {
		klog.ErrorS(err, "The archive cannot be read", "pool", p.o.Name)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.archived = 0
	for _, entry := range all {
		if _, leaving := p.leaving[entry.Name]; entry.Volume != nil && !leaving {
			p.archived += max(0, entry.Volume.Spec.CapacityBytes)
		}
	}
}

// checkOnDelete refuses a volume whose end this filesystem cannot bring about.
func checkOnDelete(v state.Volume, f backend.Features) error {
	if v.Spec.OnDelete == state.OnDeleteScrub && f.Filesystem == "btrfs" {
		return state.Errorf(state.Unsupported, "pool %s is on btrfs, which writes elsewhere what is overwritten: onDelete: scrub takes a pool on XFS or ext4", v.Spec.Pool)
	}
	return nil
}
