package driver

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// abandonedEvery is how often ephemeral volumes are looked for that their kubelet has
// forgotten. It forgets hardly ever.
const abandonedEvery = time.Minute

// EndAbandoned removes, until ctx ends, the ephemeral volumes of this node whose pod is
// gone without their having been unpublished: a node came back without what its kubelet
// knew, say.
func (s *Server) EndAbandoned(ctx context.Context) {
	if s.node == nil || s.node.ephemeral == nil {
		return
	}
	tick := time.NewTicker(abandonedEvery)
	defer tick.Stop()
	for {
		if err := s.node.endAbandoned(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Ephemeral volumes of pods that are gone could not all be removed; it is tried again", "after", abandonedEvery)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// endAbandoned looks once.
func (n *node) endAbandoned(ctx context.Context) error {
	var errs error
	for page := (state.Page{Limit: maxEntries}); ; {
		some, next, err := n.ephemeral.volumes.List(ctx, page)
		if err != nil {
			return errors.Join(errs, err)
		}
		for _, v := range some {
			if v.Spec.Node == n.id && v.Spec.Ephemeral != nil && podIsGone(v.Spec.Ephemeral.Target) {
				errs = errors.Join(errs, n.endOne(ctx, v))
			}
		}
		if next == "" {
			return errs
		}
		page.After = next
	}
}

// endOne removes a volume of a pod that is gone, unless it is published, or a call works on it.
func (n *node) endOne(ctx context.Context, v state.Volume) error {
	end, err := n.inFlight.begin(v.ID+"\x00"+v.Spec.Ephemeral.Target, "volume "+v.ID)
	if err != nil {
		return nil // it is not abandoned
	}
	defer end()
	if len(n.mounts.Published(v.ID)) > 0 {
		return nil // nor is this; the agent would refuse
	}
	ctx, cancel := context.WithTimeout(ctx, abandonedEvery)
	defer cancel()
	if err := n.removeEphemeral(ctx, v.ID); err != nil {
		return err
	}
	klog.InfoS("An ephemeral volume was removed whose pod is gone", "volumeID", v.ID, "pod", klog.KRef(v.Spec.Ephemeral.Namespace, v.Spec.Ephemeral.Name),
		"podUID", v.Spec.Ephemeral.UID, "pool", v.Spec.Pool)
	return nil
}

// podTarget is where the kubelet has an ephemeral volume published.
var podTarget = regexp.MustCompile(`^(/.+/pods/[^/]+)/volumes/kubernetes\.io~csi/[^/]+/mount$`)

// podIsGone tells whether a target path was that of a pod of which the kubelet has
// nothing any more: not even its directory, which it removes last. Where the kubelet's
// own directory is not there, its disk may not be mounted: that tells nothing.
func podIsGone(target string) bool {
	parts := podTarget.FindStringSubmatch(target)
	if parts == nil {
		return false
	}
	if pods, err := os.Stat(filepath.Dir(parts[1])); err != nil || !pods.IsDir() {
		return false
	}
	_, err := os.Lstat(parts[1])
	return errors.Is(err, fs.ErrNotExist)
}
