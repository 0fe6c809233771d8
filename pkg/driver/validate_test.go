package driver

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestNames(t *testing.T) {
	for name, valid := range map[string]bool{
		"":                               false,
		"pvc-0":                          true,
		"..":                             true, // becomes a hash, not a path
		"a/b":                            true,
		"Großer Name\nmit Umbruch\t":     true,
		strings.Repeat("x", 128):         true,
		strings.Repeat("x", 129):         false,
		strings.Repeat("x", 100<<10):     false,
		"nul\x00":                        false,
		"bell\a":                         false,
		"delete\x7f":                     false,
		"c1 control \u0085":              false,
		"not UTF-8 \xff":                 false,
		strings.Repeat("\U0001F4BE", 32): true,
	} {
		err := checkName("name", name)
		if (err == nil) != valid {
			t.Errorf("%.40q: %v", name, err)
		}
		if err != nil && (state.ReasonOf(err) != state.Invalid || !strings.HasPrefix(err.Error(), "name ") || len(err.Error()) > 400) {
			t.Errorf("%.40q: unhelpful error: %v", name, err)
		}
	}
}

func TestSizes(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		least, most int64
		want        int64 // 0: refused
	}{
		"nothing asked":         {0, 0, gib},
		"a minimum":             {5, 0, 5},
		"a maximum above 1 GiB": {0, 2 * gib, gib},
		"a maximum below 1 GiB": {0, 7, 7},
		"both":                  {5, 7, 5},
		"exactly":               {5, 5, 5},
		"crossed":               {7, 5, 0},
		"negative minimum":      {-1, 0, 0},
		"negative maximum":      {0, -1, 0},
	} {
		s, err := parseSize(&csi.CapacityRange{RequiredBytes: c.least, LimitBytes: c.most})
		if (err != nil) != (c.want == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && s.choose() != c.want {
			t.Errorf("%s: %d, want %d", name, s.choose(), c.want)
		}
		if err == nil && !s.holds(s.choose()) {
			t.Errorf("%s: what is chosen does not fit", name)
		}
	}
}

func capabilityOf(mode csi.VolumeCapability_AccessMode_Mode, flags ...string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{MountFlags: flags}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
	}
}

func TestAccessModes(t *testing.T) {
	for number, name := range csi.VolumeCapability_AccessMode_Mode_name {
		a, err := parseCapability(capabilityOf(csi.VolumeCapability_AccessMode_Mode(number)))
		switch {
		case strings.HasPrefix(name, "SINGLE_NODE_"):
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if a.readOnly != (name == "SINGLE_NODE_READER_ONLY") || a.exclusive != (name == "SINGLE_NODE_SINGLE_WRITER") {
				t.Errorf("%s: %+v", name, a)
			}
		case strings.HasPrefix(name, "MULTI_NODE_"):
			if state.ReasonOf(err) != state.Incompatible || !strings.Contains(err.Error(), "the disk of one node") {
				t.Errorf("%s: %v", name, err)
			}
		default:
			if state.ReasonOf(err) != state.Invalid {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestCapabilitiesOfOneVolume(t *testing.T) {
	writer := csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
	block := &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: writer}}
	for name, c := range map[string]struct {
		caps []*csi.VolumeCapability
		want string // part of the error; "": none
	}{
		"none":            {nil, "volume_capabilities is missing"},
		"one":             {[]*csi.VolumeCapability{capabilityOf(writer)}, ""},
		"two modes":       {[]*csi.VolumeCapability{capabilityOf(writer), capabilityOf(csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY)}, ""},
		"mount and block": {[]*csi.VolumeCapability{capabilityOf(writer), block}, "has one of them"},
		"no access type":  {[]*csi.VolumeCapability{{AccessMode: block.AccessMode}}, "access_type is missing"},
		"unknown flag":    {[]*csi.VolumeCapability{capabilityOf(writer, "noexec", "data=journal")}, "data"},
	} {
		_, _, err := parseCapabilities(c.caps)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNodeIDs(t *testing.T) {
	for id, valid := range map[string]bool{
		"node-1": true, "Node_1.example.org": true, "a": true, strings.Repeat("n", 63): true,
		"": false, "-a": false, "a-": false, "a/b": false, "..": false, strings.Repeat("n", 64): false, "ä": false, "a\n": false,
	} {
		if err := CheckNodeID(id); (err == nil) != valid {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "x", formatToken("a"), "MTo", "\x00", "../..", "MTp0Y0", "MTp0\nYw"} { // the last two decode as "1:tc"
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		after, err := parseToken(token)
		if err != nil {
			if state.ReasonOf(err) != state.BadToken || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %v", token, err)
			}
			return
		}
		if after != "" && formatToken(after) != token {
			t.Errorf("%q means %q, whose token is %q", token, after, formatToken(after))
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"", "pvc", "..", "a\x00b", "\xff", "\u202e", strings.Repeat("x", 129)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName("name", name) != nil {
			return
		}
		if id := state.VolumeID(name); checkID("volume_id", id) != nil || !state.ValidID(id) {
			t.Errorf("%q has the ID %q", name, id)
		}
	})
}

func TestSizesOfBlockVolumes(t *testing.T) {
	for _, c := range []struct {
		asked  size
		bytes  int64
		reason state.Reason
	}{
		{size{}, defaultSize, ""},
		{size{least: 1}, 4096, ""},
		{size{least: 4096, most: 4096}, 4096, ""},
		{size{least: 5000}, 8192, ""},
		{size{least: 5000, most: 8192}, 8192, ""},
		{size{most: 10000}, 8192, ""},
		{size{least: 5000, most: 8191}, 0, state.OutOfRange},
		{size{most: 4095}, 0, state.OutOfRange},
		{size{least: math.MaxInt64}, 0, state.OutOfRange},
	} {
		bytes, err := c.asked.inBlocks()
		if bytes != c.bytes || state.ReasonOf(err) != c.reason {
			t.Errorf("%+v gives %d bytes, %v; want %d, reason %q", c.asked, bytes, err, c.bytes, c.reason)
		}
		if err == nil && !c.asked.holds(bytes) {
			t.Errorf("%+v gives %d bytes, which is not what was asked for", c.asked, bytes)
		}
	}
}
