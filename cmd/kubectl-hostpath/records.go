package main

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// pageSize is how many objects are asked for at a time, as kubectl does.
const pageSize = 500

// cluster reads the custom resources of a cluster.
type cluster struct {
	api   rest.Interface
	codec runtime.ParameterCodec
}

func (o *options) connect() (*cluster, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON // all that there is for custom resources
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	api, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("how to reach the cluster: %w", err)
	}
	return &cluster{api: api, codec: runtime.NewParameterCodec(scheme)}, nil
}

// list reads all objects of a resource, page by page. fields selects some of them.
func list[L metav1.ListInterface](ctx context.Context, c *cluster, resource, fields string, page func() L, add func(L)) error {
	options := metav1.ListOptions{Limit: pageSize, FieldSelector: fields}
	for {
		into := page()
		err := c.api.Get().Resource(resource).VersionedParams(&options, c.codec).Do(ctx).Into(any(into).(runtime.Object))
		if err != nil {
			return explain(resource, err)
		}
		add(into)
		if options.Continue = into.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// explain adds to an error what to do about it.
func explain(resource string, err error) error {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the cluster has no %s.%s: hostpath-csi is not installed there, or in another cluster than this context's", resource, v1alpha1.GroupVersion.Group)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: ask for the right to get and list the resources of the group %s", err, v1alpha1.GroupVersion.Group)
	case errors.As(err, &status) && apierrors.IsResourceExpired(err):
		return fmt.Errorf("the list of %s changed too much while it was read: try again", resource)
	}
	return err
}

func (c *cluster) volumes(ctx context.Context, fields string) (all []v1alpha1.HostPathVolume, err error) {
	err = list(ctx, c, v1alpha1.Volumes, fields, func() *v1alpha1.HostPathVolumeList { return &v1alpha1.HostPathVolumeList{} },
		func(l *v1alpha1.HostPathVolumeList) { all = append(all, l.Items...) })
	return all, err
}

func (c *cluster) snapshots(ctx context.Context, fields string) (all []v1alpha1.HostPathSnapshot, err error) {
	err = list(ctx, c, v1alpha1.Snapshots, fields, func() *v1alpha1.HostPathSnapshotList { return &v1alpha1.HostPathSnapshotList{} },
		func(l *v1alpha1.HostPathSnapshotList) { all = append(all, l.Items...) })
	return all, err
}

func (c *cluster) nodes(ctx context.Context, fields string) (all []v1alpha1.HostPathNode, err error) {
	err = list(ctx, c, v1alpha1.Nodes, fields, func() *v1alpha1.HostPathNodeList { return &v1alpha1.HostPathNodeList{} },
		func(l *v1alpha1.HostPathNodeList) { all = append(all, l.Items...) })
	return all, err
}
