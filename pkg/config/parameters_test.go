package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func defaults(change func(*Parameters)) Parameters {
	p := Parameters{Mode: DefaultMode, Provisioning: state.Thick, OnDelete: state.OnDeleteRemove}
	if change != nil {
		change(&p)
	}
	return p
}

func TestParameters(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]string
		want  Parameters
	}{
		"none":  {nil, defaults(nil)},
		"pool":  {map[string]string{"pool": "fast-1"}, defaults(func(p *Parameters) { p.Pool = "fast-1" })},
		"mode":  {map[string]string{"mode": "2750"}, defaults(func(p *Parameters) { p.Mode = 0o2750 })},
		"owner": {map[string]string{"uid": "999", "gid": "4294967294"}, defaults(func(p *Parameters) { p.UserID, p.GroupID = 999, 4294967294 })},
		"kept":  {map[string]string{"onDelete": "archive"}, defaults(func(p *Parameters) { p.OnDelete = state.OnDeleteArchive })},
		"wiped": {map[string]string{"onDelete": "scrub"}, defaults(func(p *Parameters) { p.OnDelete = state.OnDeleteScrub })},
		"room":  {map[string]string{"provisioning": "thin"}, defaults(func(p *Parameters) { p.Provisioning = state.Thin })},
		"the claim, as external-provisioner tells it": {
			map[string]string{"csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": "team", "csi.storage.k8s.io/pv/name": "pvc-1"},
			defaults(func(p *Parameters) { p.Claim = &state.Claim{Namespace: "team", Name: "data", PV: "pvc-1"} })},
		"others of external-provisioner's": {map[string]string{"csi.storage.k8s.io/fstype": "ext4"}, defaults(nil)},
	} {
		got, err := ParseParameters(c.given, Builtin())
		got.Given = nil
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBadParametersAreNamed(t *testing.T) {
	for name, value := range map[string]string{
		"mode": "0888", "uid": "-1", "gid": "4294967295", "onDelete": "perhaps", "provisioning": "eager", "pool": "../other", "poolSelector": "a=b=c", "Pool": "x", "size": "1Gi",
	} {
		_, err := ParseParameters(map[string]string{name: value}, Builtin())
		if state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	for _, mode := range []string{"", "rwxr-xr-x", "10000", "0o755", "-7"} {
		if _, err := ParseParameters(map[string]string{"mode": mode}, Builtin()); err == nil {
			t.Errorf("mode %q is taken", mode)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for k, v := range map[string]string{"mode": "0777", "uid": "1", "pool": "a", "x": "\x00", "csi.storage.k8s.io/pvc/name": "n"} {
		f.Add(k, v)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		p, err := ParseParameters(map[string]string{name: value}, Builtin())
		if err != nil {
			if state.ReasonOf(err) != state.Invalid || len(err.Error()) > 1000 {
				t.Errorf("%q=%q: %v", name, value, err)
			}
			return
		}
		if p.Mode > 0o7777 || p.UserID < 0 || p.GroupID < 0 || p.Pool != "" && !state.ValidID(p.Pool) || p.OnDelete != state.OnDeleteRemove {
			t.Errorf("%q=%q gives %+v", name, value, p)
		}
	})
}
