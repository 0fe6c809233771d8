package monitoring

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestDashboardFitsGrafanasSchema has Grafana's own schema, of the dashboard, its panels and
// their queries, look at it: an unknown or missing key is an error.
func TestDashboardFitsGrafanasSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	b, err := os.ReadFile(dashboardFile)
	must(t, err)
	if err := fits(b); err != nil {
		t.Error(err)
	}

	// It can tell: a panel of Grafana's with a key that it does not have.
	var raw map[string]any
	must(t, json.Unmarshal(b, &raw))
	raw["panels"].([]any)[1].(map[string]any)["options"].(map[string]any)["colour"] = "red"
	b, err = json.Marshal(raw)
	must(t, err)
	if err := fits(b); err == nil {
		t.Error("an unknown option of a panel is taken")
	}
}

// fits returns what of a dashboard does not fit the schema.
func fits(b []byte) error {
	//lint:ignore SA1019 the newer form is for the newest Grafana only, which takes this one, too
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(b); err != nil && err.Error() != "" { // it returns a list, which may be empty
		return err
	}
	return d.Validate()
}

// TestPanelsLieBesideOneAnother finds panels of one number, and those that cover others.
func TestPanelsLieBesideOneAnother(t *testing.T) {
	b, err := os.ReadFile(dashboardFile)
	must(t, err)
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
		}
	}
	must(t, json.Unmarshal(b, &d))
	for i, p := range d.Panels {
		at := p.GridPos
		if at.X < 0 || at.W < 1 || at.X+at.W > 24 || at.H < 1 {
			t.Errorf("panel %q lies outside, at %+v", p.Title, at)
		}
		for _, other := range d.Panels[:i] {
			o := other.GridPos
			if p.ID == other.ID || at.X < o.X+o.W && o.X < at.X+at.W && at.Y < o.Y+o.H && o.Y < at.Y+at.H {
				t.Errorf("panels %q and %q have one number or place", p.Title, other.Title)
			}
		}
	}
}
