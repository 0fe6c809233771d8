package agent

import (
	"context"
	"errors"
	"time"

	"k8s.io/klog/v2"
)

// reconcileRetry is how long the agent waits before it tries again what neither
// succeeded nor could be put into a record's status.
const reconcileRetry = 5 * time.Second

// retry has a record reconciled again a while later.
func (a *Agent) retry(q *queue, id string, why error, keysAndValues ...any) {
	if errors.Is(why, context.Canceled) {
		q.add(id) // called off: by a deletion, which is next, or by the agent's end
		return
	}
	a.metrics.retried.Inc()
	klog.ErrorS(why, "Reconciling a record failed; it will be tried again", append(keysAndValues, "after", reconcileRetry)...)
	q.addAfter(id, reconcileRetry)
}
