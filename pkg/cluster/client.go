package cluster

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Client reaches the kinds of objects that the driver knows beside its records, and no
// others: the clients of client-go for all kinds there are would double the memory of
// each node plugin.
type Client struct {
	Nodes Resource[*corev1.Node, *corev1.NodeList]
	// Leases are those of the driver's namespace.
	Leases            Resource[*coordinationv1.Lease, *coordinationv1.LeaseList]
	PersistentVolumes Resource[*corev1.PersistentVolume, *corev1.PersistentVolumeList]
	// Namespace is the driver's own; ConfigMaps are its.
	Namespace  string
	ConfigMaps Getter[*corev1.ConfigMap]
	// Events takes what is told of objects.
	Events record.EventSink
}

// Resource is one kind of objects, as client-go has it.
type Resource[O, L runtime.Object] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (O, error)
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
	Create(ctx context.Context, obj O, o metav1.CreateOptions) (O, error)
	Update(ctx context.Context, obj O, o metav1.UpdateOptions) (O, error)
	Delete(ctx context.Context, name string, o metav1.DeleteOptions) error
}

// Getter reads one object of a kind.
type Getter[O runtime.Object] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (O, error)
}

// scheme has the kinds that a Client knows.
var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	core, coordination := corev1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion
	s.AddKnownTypes(core, &corev1.Node{}, &corev1.NodeList{}, &corev1.PersistentVolume{}, &corev1.PersistentVolumeList{}, &corev1.ConfigMap{}, &corev1.Event{})
	s.AddKnownTypes(coordination, &coordinationv1.Lease{}, &coordinationv1.LeaseList{})
	metav1.AddToGroupVersion(s, core)
	metav1.AddToGroupVersion(s, coordination)
	return s
}()

// NewClient makes a client of the API server that config leads to. namespace is the
// driver's own.
func NewClient(config *rest.Config, namespace string) (*Client, error) {
	codec := runtime.NewParameterCodec(scheme)
	reach := func(gv schema.GroupVersion, path string) (rest.Interface, error) {
		c := rest.CopyConfig(config)
		c.GroupVersion, c.APIPath = &gv, path
		c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		c.ContentType, c.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
		client, err := rest.RESTClientFor(c)
		if err != nil {
			return nil, state.Errorf(state.Invalid, "the configuration of the Kubernetes API: %w", err)
		}
		return client, nil
	}
	coreAPI, err := reach(corev1.SchemeGroupVersion, "/api")
	if err != nil {
		return nil, err
	}
	coordinationAPI, err := reach(coordinationv1.SchemeGroupVersion, "/apis")
	if err != nil {
		return nil, err
	}
	return &Client{
		Nodes: gentype.NewClientWithList[*corev1.Node, *corev1.NodeList]("nodes", coreAPI, codec, "",
			func() *corev1.Node { return &corev1.Node{} }, func() *corev1.NodeList { return &corev1.NodeList{} }),
		Leases: gentype.NewClientWithList[*coordinationv1.Lease, *coordinationv1.LeaseList]("leases", coordinationAPI, codec, namespace,
			func() *coordinationv1.Lease { return &coordinationv1.Lease{} }, func() *coordinationv1.LeaseList { return &coordinationv1.LeaseList{} }),
		PersistentVolumes: gentype.NewClientWithList[*corev1.PersistentVolume, *corev1.PersistentVolumeList]("persistentvolumes", coreAPI, codec, "",
			func() *corev1.PersistentVolume { return &corev1.PersistentVolume{} }, func() *corev1.PersistentVolumeList { return &corev1.PersistentVolumeList{} }),
		Namespace:  namespace,
		ConfigMaps: gentype.NewClient[*corev1.ConfigMap]("configmaps", coreAPI, codec, namespace, func() *corev1.ConfigMap { return &corev1.ConfigMap{} }),
		Events:     eventSink{coreAPI},
	}, nil
}

// follow tells changed of every object of a kind, and of every one that goes, until ctx
// ends. What it returns tells whether changed has been told of all that there were at
// the start. selector chooses by fields; "" is all. index is what the
// informer finds them by.
func follow[O, L runtime.Object](ctx context.Context, r Resource[O, L], example O, selector string, index cache.Indexers, changed func(obj O, gone bool)) (informer cache.SharedIndexInformer, taken cache.InformerSynced, err error) {
	lists := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return r.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return r.Watch(ctx, o)
		},
	}
	// A fake API server of tests says that it knows no lists by watching.
	informer = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lists, r), example, 0, index)
	tell := func(obj any, gone bool) {
		if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = last.Obj
		}
		if o, ok := obj.(O); ok {
			changed(o, gone)
		}
	}
	told, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { tell(obj, false) },
		UpdateFunc: func(_, obj any) { tell(obj, false) },
		DeleteFunc: func(obj any) { tell(obj, true) },
	})
	if err != nil {
		return nil, nil, err
	}
	go informer.RunWithContext(ctx)
	return informer, told.HasSynced, nil
}
