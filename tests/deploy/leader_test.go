package deploy

import (
	"fmt"
	"testing"
)

// Two sidecars of one kind would both answer every claim, and one with an election would
// wait for nobody.
func TestLeadersAreElectedWhereThereAreSeveralControllers(t *testing.T) {
	for name, objects := range everything(t) {
		for _, o := range byKind(objects, "StatefulSet") {
			replicas, want := fmt.Sprint(at(o, "spec", "replicas")), "true"
			if replicas == "1" {
				want = "false"
			}
			sidecars := 0
			for _, container := range list(o.podSpec(), "containers") {
				flag, ok := flags(container)["leader-election"]
				if !ok {
					continue
				}
				sidecars++
				var got any
				for _, variable := range list(container, "env") {
					if flag == "$(LEADER_ELECTION)" && at(variable, "name") == "LEADER_ELECTION" {
						got = at(variable, "value")
					}
				}
				if got != want {
					t.Errorf("%s: %v of %v controllers: leader election is %v, not %s", name, at(container, "name"), replicas, got, want)
				}
			}
			if sidecars < 2 {
				t.Errorf("%s: %d sidecars have an election", name, sidecars)
			}
		}
	}
}
