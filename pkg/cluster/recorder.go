package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
)

// Recorder tells people in events what they must know of objects.
//
// The name of an event follows from what it says. So what is told again, after a restart
// or by another replica, is the same event with a later time, and not one more. How many
// are written in a while is bounded: who tells more waits.
type Recorder struct {
	sink  record.EventSink
	host  string
	bound flowcontrol.RateLimiter
}

// The bound of a Recorder: so many at once, and then so many in a second.
const (
	eventsAtOnce    = 100
	eventsPerSecond = 10
)

// maxEvent is the longest message of an event that every API server takes.
const maxEvent = 1024

// NewRecorder makes a Recorder. host is the node that it tells from; "" for none.
func NewRecorder(client *Client, host string) *Recorder {
	return &Recorder{sink: client.Events, host: host, bound: flowcontrol.NewTokenBucketRateLimiter(eventsPerSecond, eventsAtOnce)}
}

// Tell writes an event on an object. kind is corev1.EventTypeNormal or EventTypeWarning,
// reason a word in CamelCase.
func (r *Recorder) Tell(ctx context.Context, of corev1.ObjectReference, kind, reason, message string) error {
	if err := r.bound.Wait(ctx); err != nil {
		return err
	}
	if len(message) > maxEvent {
		const more = " ..."
		message = strings.ToValidUTF8(message[:maxEvent-len(more)], "") + more
	}
	now := metav1.NewTime(time.Now())
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: r.name(of, kind, reason, message), Namespace: of.Namespace},
		InvolvedObject: of,
		Type:           kind,
		Reason:         reason,
		Message:        message,
		Source:         corev1.EventSource{Component: driverName, Host: r.host},
		FirstTimestamp: now,
		LastTimestamp:  now,
		Count:          1,
		// The newer form of the same.
		ReportingController: driverName,
		ReportingInstance:   r.host,
	}
	if event.Namespace == "" {
		event.Namespace = metav1.NamespaceDefault // where events of what has none are looked for
	}
	_, err := r.sink.Create(event)
	if apierrors.IsAlreadyExists(err) {
		_, err = r.sink.Patch(event, fmt.Appendf(nil, `{"lastTimestamp":%q}`, now.UTC().Format(time.RFC3339)))
	}
	if err != nil {
		return fmt.Errorf("telling of %s %s in an event, %s: %w", of.Kind, of.Name, reason, err)
	}
	return nil
}

// name is that of the event that says this.
func (r *Recorder) name(of corev1.ObjectReference, said ...string) string {
	const maxName = 200
	sum := sha256.Sum256([]byte(strings.Join(append(said, of.Kind, of.Namespace, of.Name, string(of.UID), r.host), "\x00")))
	return strings.TrimRight(of.Name[:min(len(of.Name), maxName)], ".-") + "." + hex.EncodeToString(sum[:8])
}
