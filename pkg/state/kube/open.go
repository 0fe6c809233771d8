package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// callTimeout bounds each request: an API server that does not answer is away.
const callTimeout = 10 * time.Second

// healthTimeout bounds the request of Healthy, which probes call.
const healthTimeout = 3 * time.Second

// clusterNamespace is the namespace whose UID names a cluster: every cluster has it,
// from its first moment to its last.
const clusterNamespace = "kube-system"

// Options are how a store is opened.
type Options struct {
	// Node restricts the store to the records of one node, whose ID it is; "" is
	// for the controller, which sees all.
	Node string
}

// Store keeps records in custom resources.
type Store struct {
	uuid string
	api  rest.Interface

	volumes   *records[state.VolumeSpec, state.VolumeStatus, *v1alpha1.HostPathVolume]
	snapshots *records[state.SnapshotSpec, state.SnapshotStatus, *v1alpha1.HostPathSnapshot]
	nodes     *records[state.NodeSpec, state.NodeStatus, *v1alpha1.HostPathNode]

	commitDuration prometheus.Histogram

	stop    context.CancelFunc // ends the watches of the API server
	watches sync.WaitGroup

	life   sync.RWMutex // held for reading by every call in flight
	closed bool
}

var _ state.Store = (*Store)(nil)

// Open returns a store when it has read all records. It waits for an API server that
// is away, as long as ctx lasts. The caller may be any identity that may get the
// namespace kube-system and list, watch and write the custom resources; these have to
// be installed (deploy/base/crd).
func Open(ctx context.Context, config *rest.Config, o Options) (*Store, error) {
	if o.Node != "" && !state.ValidNodeID(o.Node) {
		return nil, state.Errorf(state.Invalid, "%s cannot be the ID of a node", state.Quote(o.Node))
	}
	config = configFor(config)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, state.Errorf(state.Invalid, "the configuration of the Kubernetes API: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, state.Errorf(state.Defect, "adding the custom resources to a scheme: %w", err)
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	api, err := rest.RESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, state.Errorf(state.Invalid, "the configuration of the Kubernetes API: %w", err)
	}

	s := &Store{api: api, commitDuration: newCommitDuration()}
	if err := s.awaitAPI(ctx, config, client); err != nil {
		return nil, err
	}
	codec := runtime.NewParameterCodec(scheme)
	volumes := gentype.NewClientWithList[*v1alpha1.HostPathVolume, *v1alpha1.HostPathVolumeList](v1alpha1.Volumes, api, codec, "",
		func() *v1alpha1.HostPathVolume { return &v1alpha1.HostPathVolume{} },
		func() *v1alpha1.HostPathVolumeList { return &v1alpha1.HostPathVolumeList{} })
	snapshots := gentype.NewClientWithList[*v1alpha1.HostPathSnapshot, *v1alpha1.HostPathSnapshotList](v1alpha1.Snapshots, api, codec, "",
		func() *v1alpha1.HostPathSnapshot { return &v1alpha1.HostPathSnapshot{} },
		func() *v1alpha1.HostPathSnapshotList { return &v1alpha1.HostPathSnapshotList{} })
	nodes := gentype.NewClientWithList[*v1alpha1.HostPathNode, *v1alpha1.HostPathNodeList](v1alpha1.Nodes, api, codec, "",
		func() *v1alpha1.HostPathNode { return &v1alpha1.HostPathNode{} },
		func() *v1alpha1.HostPathNodeList { return &v1alpha1.HostPathNodeList{} })
	s.volumes = newRecords[state.VolumeSpec, state.VolumeStatus](s, "volume", o.Node, state.ValidID, volumes,
		func() *v1alpha1.HostPathVolume { return &v1alpha1.HostPathVolume{} })
	s.snapshots = newRecords[state.SnapshotSpec, state.SnapshotStatus](s, "snapshot", o.Node, state.ValidID, snapshots,
		func() *v1alpha1.HostPathSnapshot { return &v1alpha1.HostPathSnapshot{} })
	s.nodes = newRecords[state.NodeSpec, state.NodeStatus](s, "node", o.Node, state.ValidNodeID, nodes,
		func() *v1alpha1.HostPathNode { return &v1alpha1.HostPathNode{} })

	var selector string
	if o.Node != "" {
		selector = fields.OneTermEqualSelector("spec.node", o.Node).String()
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	feeds := []*feed{
		newFeed(s.volumes.cache, "volume", selector, volumes, &v1alpha1.HostPathVolume{}),
		newFeed(s.snapshots.cache, "snapshot", selector, snapshots, &v1alpha1.HostPathSnapshot{}),
		newFeed(s.nodes.cache, "node", selector, nodes, &v1alpha1.HostPathNode{}),
	}
	for _, f := range feeds {
		s.watches.Go(func() { f.run(watching) })
	}
	for _, f := range feeds {
		if err := f.awaitSync(ctx); err != nil {
			stop()
			s.watches.Wait()
			return nil, err
		}
	}
	return s, nil
}

// configFor returns a copy of config for the clients of this package.
func configFor(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.Timeout = 0 // it would end the watches; each request has its own
	if config.QPS == 0 {
		config.QPS = -1 // the API server itself sees to a fair share
	}
	return config
}

// awaitAPI waits until the API server answers, and learns the cluster's identity.
func (s *Store) awaitAPI(ctx context.Context, config *rest.Config, client *http.Client) error {
	api, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return state.Errorf(state.Invalid, "the configuration of the Kubernetes API: %w", err)
	}
	namespaces := api.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	var failed error
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 1 << 30, Cap: 5 * time.Second}
	err = wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		failed = call(ctx, "reading the namespace "+clusterNamespace, func(ctx context.Context) error {
			namespace, err := namespaces.Get(ctx, clusterNamespace, metav1.GetOptions{})
			if err == nil {
				s.uuid = string(namespace.UID)
			}
			return err
		})
		return failed == nil, nil
	})
	if failed != nil {
		return fmt.Errorf("opening the records in Kubernetes: %w", failed)
	}
	return err
}

// Volumes returns the records of volumes.
func (s *Store) Volumes() state.Owned[state.VolumeSpec, state.VolumeStatus] { return s.volumes }

// Snapshots returns the records of snapshots.
func (s *Store) Snapshots() state.Owned[state.SnapshotSpec, state.SnapshotStatus] { return s.snapshots }

// Nodes returns the records of nodes.
func (s *Store) Nodes() state.Owned[state.NodeSpec, state.NodeStatus] { return s.nodes }

// UUID names the cluster: it is the UID of its namespace kube-system.
func (s *Store) UUID() string { return s.uuid }

// Healthy asks the API server whether it is ready.
func (s *Store) Healthy(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	within, cancel := context.WithTimeoutCause(ctx, healthTimeout, errSlow)
	defer cancel()
	if _, err := s.api.Get().AbsPath("/readyz").DoRaw(within); err != nil {
		return failure(ctx, "asking the API server whether it is ready", err)
	}
	return nil
}

// Close ends the store after the calls in flight, each of which takes no longer than
// a request may. Watches end.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.stop()
	s.watches.Wait()
	s.volumes.cache.changes.Close()
	s.snapshots.cache.changes.Close()
	s.nodes.cache.changes.Close()
	return nil
}

var (
	errClosed = state.Errorf(state.Unavailable, "the store is closed")
	errSlow   = errors.New("the API server did not answer in time")
)

// enter begins a call; the caller ends it with life.RUnlock.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return errClosed
	}
	return nil
}
