package agent

import (
	"errors"
	"strings"
	"testing"
)

func TestAWrongConfigurationIsToldInTheNodesStatusUntilItIsMended(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		said := func() string {
			w.settle()
			n, err := w.nodes.Get(w.Context(), "node-1")
			w.must(err)
			if len(n.Status.Pools) != 1 {
				t.Errorf("the pools are %+v", n.Status.Pools)
			}
			return n.Status.ConfigError
		}
		if got := said(); got != "" {
			t.Errorf("at the start it says %q", got)
		}
		w.agent.SetConfigError(errors.New("config.yaml:7:9: pools[0].path: got \"srv\""))
		if got := said(); got != "config.yaml:7:9: pools[0].path: got \"srv\"" {
			t.Errorf("it says %q", got)
		}
		w.agent.SetConfigError(errors.New(strings.Repeat("ü", maxConfigError)))
		if got := said(); len(got) > maxConfigError+len(" ...") || !strings.HasSuffix(got, "ü ...") {
			t.Errorf("of a long error it says %d bytes, ending with %q", len(got), got[max(0, len(got)-9):])
		}
		w.agent.SetConfigError(nil)
		if got := said(); got != "" {
			t.Errorf("when it is mended it says %q", got)
		}
	})
}
