package cluster

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// ConfigMap is where a process has its configuration from. What is wrong with that is
// told in events on it, for whoever edits it.
type ConfigMap struct {
	Client   *Client
	Recorder *Recorder
	// Name is that of the ConfigMap, in the driver's namespace.
	Name string
	// Who reads it, such as "node n1": each process does, and may see something else in it.
	Who string

	mu   sync.Mutex
	last string // what was told last
}

// The reasons of these events.
const (
	ConfigRefused  = "ConfigurationRefused"
	ConfigAccepted = "ConfigurationAccepted"
)

// Tell tells what is wrong with the configuration as it is now, while an earlier one is in force;
// nil: nothing is, which is worth telling only after something was. What was told last is not told
// again. Without a ConfigMap, nobody is told.
func (c *ConfigMap) Tell(ctx context.Context, wrong error) {
	c.tell(ctx, wrong, "keeps the last good configuration")
}

// TellAtStart tells what keeps a process from starting.
func (c *ConfigMap) TellAtStart(ctx context.Context, wrong error) {
	c.tell(ctx, wrong, "does not start with it")
}

func (c *ConfigMap) tell(ctx context.Context, wrong error, then string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind, reason, message, now := corev1.EventTypeNormal, ConfigAccepted, c.Who+" has it in force again", ""
	if wrong != nil {
		now = wrong.Error()
		kind, reason, message = corev1.EventTypeWarning, ConfigRefused, c.Who+" "+then+": "+now
	}
	if now == c.last {
		return
	}
	if err := c.Recorder.Tell(ctx, c.reference(ctx), kind, reason, message); err != nil {
		klog.ErrorS(err, "The ConfigMap has no event of what is wrong with it", "configMap", c.Name)
		return
	}
	c.last = now
}

// reference leads to the ConfigMap as it is: kubectl shows the events of its UID.
func (c *ConfigMap) reference(ctx context.Context) corev1.ObjectReference {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: c.Client.Namespace, Name: c.Name}
	m, err := c.Client.ConfigMaps.Get(ctx, c.Name, metav1.GetOptions{})
	if err != nil {
		klog.ErrorS(err, "The ConfigMap cannot be read; an event is told of its name", "configMap", c.Name)
		return ref
	}
	ref.UID, ref.ResourceVersion = m.UID, m.ResourceVersion
	return ref
}
