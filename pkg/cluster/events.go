package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// eventSink writes events, each into the namespace that it names.
type eventSink struct{ core rest.Interface }

// Create writes a new event.
func (s eventSink) Create(e *corev1.Event) (*corev1.Event, error) {
	return s.do(s.core.Post().Namespace(e.Namespace).Resource("events").Body(e))
}

// Update writes an event anew.
func (s eventSink) Update(e *corev1.Event) (*corev1.Event, error) {
	return s.do(s.core.Put().Namespace(e.Namespace).Resource("events").Name(e.Name).Body(e))
}

// Patch changes an event that has happened again.
func (s eventSink) Patch(e *corev1.Event, patch []byte) (*corev1.Event, error) {
	return s.do(s.core.Patch(types.StrategicMergePatchType).Namespace(e.Namespace).Resource("events").Name(e.Name).Body(patch))
}

func (eventSink) do(r *rest.Request) (*corev1.Event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	stored := &corev1.Event{}
	return stored, r.Do(ctx).Into(stored)
}
