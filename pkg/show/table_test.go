package show

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestColumnsAreAlignedWhateverIsColored(t *testing.T) {
	half := 0.5
	table := Table{Columns: columns("NAME", ">SIZE", "USED", "STATE"), Rows: []Row{
		{text("a"), text("1 B"), {Bar: &half, Color: Good}, {Text: "Healthy", Color: Good}},
		{text("größer"), text("100 GiB"), text("-"), {Text: "Bad", Color: Bad}},
	}, Notes: []Note{{Of: "a", Text: "two\nlines", Color: Bad}}}
	for name, c := range map[string]struct {
		style Style
		want  string
	}{
		"plain": {Style{}, "" +
			"NAME        SIZE   USED             STATE\n" +
			"a            1 B   #####----- 50%   Healthy\n" +
			"größer   100 GiB   -                Bad\n" +
			"\na: two lines\n"},
		"colored": {Style{Color: true, Unicode: true}, "" +
			"NAME        SIZE   USED             STATE\n" +
			"a            1 B   \x1b[32m█████░░░░░ 50%\x1b[0m   \x1b[32mHealthy\x1b[0m\n" +
			"größer   100 GiB   -                \x1b[31mBad\x1b[0m\n" +
			"\n\x1b[31ma\x1b[0m: two lines\n"},
	} {
		var out bytes.Buffer
		if err := table.Write(&out, c.style); err != nil || out.String() != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, out.String(), c.want)
		}
	}
}

func TestABarIsAsFullAsItsShare(t *testing.T) {
	for share, want := range map[float64]string{-1: "---------- -100%", 0: "---------- 0%", 0.04: "---------- 4%", 0.5: "#####----- 50%", 1: "########## 100%", 7: "########## 700%"} {
		if got := (Style{}).Bar(share); got != want && share >= 0 {
			t.Errorf("Bar(%v) is %s, want %s", share, got, want)
		} else if len(got) < 10 {
			t.Errorf("Bar(%v) is %s", share, got)
		}
	}
}

func TestStyleFollowsTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		all, ctype, lang string
		unicode          bool
	}{
		{"", "", "", false}, {"", "", "de_DE.UTF-8", true}, {"C", "", "de_DE.UTF-8", false},
		{"", "C.utf8", "C", true}, {"en_US.UTF-8", "C", "C", true},
	} {
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_CTYPE", c.ctype)
		t.Setenv("LANG", c.lang)
		if got := StyleFor(new(bytes.Buffer)); got.Unicode != c.unicode || got.Color {
			t.Errorf("%+v: the style is %+v", c, got)
		}
	}
}

func TestJSONIsPlainASCIIWhereItCouldHarm(t *testing.T) {
	list := Volumes{Volumes: []Volume{{ID: "\u202e\u009b\x7f<größe>\x1b"}}}
	var out bytes.Buffer
	if err := Print(&out, AsJSON, Style{}, list, nil); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.ContainsAny(s, "\u202e\u009b\x7f\x1b") || !strings.Contains(s, "<größe>") {
		t.Errorf("JSON is %q", s)
	}
	var back Volumes
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Volumes[0].ID != list.Volumes[0].ID {
		t.Errorf("it reads back as %+v, %v", back, err)
	}
}

func TestAStateSaysWhatAVolumeIsAndWhatIsWrong(t *testing.T) {
	lost := []state.Health{{Type: state.DataLoss, Reason: "DirectoryMissing", Message: "bring it back"}, {Type: state.Degraded, Reason: "OverSize"}}
	for _, c := range []struct {
		phase  state.Phase
		health []state.Health
		want   Cell
	}{
		{"", nil, Cell{Text: "Healthy", Color: Good}},
		{state.Ready, lost, Cell{Text: "DirectoryMissing,OverSize", Color: Bad}},
		{state.Ready, lost[1:], Cell{Text: "OverSize", Color: Doubtful}},
		{state.Deleting, nil, Cell{Text: "Deleting", Color: Doubtful}},
		{state.Failed, []state.Health{{Type: state.Inaccessible, Reason: "NoSpace"}}, Cell{Text: "Failed: NoSpace", Color: Bad}},
	} {
		if got := phaseCell(c.phase, c.health); got != c.want {
			t.Errorf("%s, %v: %+v, want %+v", c.phase, c.health, got, c.want)
		}
	}
}

func TestAnAgeIsNeverNegative(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for since, want := range map[time.Time]string{{}: "-", now.Add(time.Hour): "0s", now.Add(-49 * time.Hour): "2d1h"} {
		if got := age(since, now); got != want {
			t.Errorf("age of %v is %s, want %s", since, got, want)
		}
	}
}

func TestAFormatIsOneOfThose(t *testing.T) {
	f := AsTable
	if err := f.Set("xml"); err == nil || f != AsTable {
		t.Errorf("xml: %v", err)
	}
	for _, name := range Formats {
		if err := f.Set(name); err != nil || f.String() != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
