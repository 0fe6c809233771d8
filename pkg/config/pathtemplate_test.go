package config

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const provisionedID = "pvc-93b1c7d2-5c1c-4b7a-9a53-0a2f5e6d7c8b"

func TestAVolumeIsNamedAfterItsClaim(t *testing.T) {
	claim := state.Claim{Namespace: "shop", Name: "data-db-0", PV: "pv-1"}
	for _, c := range []struct {
		template string
		claim    state.Claim
		want     string
	}{
		{"{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}", claim, "shop/data-db-0-" + provisionedID},
		{"{{.VolumeID}}", state.Claim{}, provisionedID},
		{"tenants/{{.PVC.Namespace}}.d/x_{{ .PV.Name}}.{{.VolumeID }}", claim, "tenants/shop.d/x_pv-1." + provisionedID},
		{"{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}", state.Claim{Namespace: "../../etc", Name: "a/b"}, "_._.._etc/a_b-" + provisionedID},
		{"{{ .PVC.Namespace }}/{{ .VolumeID }}", state.Claim{Namespace: provisionedID}, provisionedID + "_/" + provisionedID},
		{"{{ .PVC.Name }}-{{ .VolumeID }}", state.Claim{Name: strings.Repeat("n", 253)}, strings.Repeat("n", 255-len(provisionedID)) + provisionedID},
	} {
		template, err := ParsePathTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		got, err := template.Path(provisionedID, &c.claim)
		if err != nil || got != c.want {
			t.Errorf("%s of %+v is %q (%v), want %q", c.template, c.claim, got, err, c.want)
		}
		if id, ok := state.PathID(got); !ok || id != provisionedID {
			t.Errorf("%q is of volume %q", got, id)
		}
	}
}

func TestAClaimThatIsNotToldIsAnErrorThatSaysHowItWere(t *testing.T) {
	template, err := ParsePathTemplate("{{ .PVC.Namespace }}/{{ .VolumeID }}")
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range []*state.Claim{nil, {Name: "data"}} {
		_, err := template.Path("a", claim)
		if state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), ".PVC.Namespace: run csi-provisioner with --extra-create-metadata") {
			t.Errorf("of %+v: %v", claim, err)
		}
	}
}

func TestABadTemplateIsToldAtTheCharacter(t *testing.T) {
	for template, want := range map[string]string{
		"{{ .PVC.Namespace }}":              "character 21: it has to end with {{ .VolumeID }}",
		"x-{{ .PVC.Nmae }}-{{ .VolumeID }}": `character 3: there is no field ".PVC.Nmae"; there are .PVC.Namespace, .PVC.Name, .PV.Name and .VolumeID`,
		"x/{{ .VolumeID }}/y":               "character 18: after {{ .VolumeID }} there can be nothing",
		"x/{{ .VolumeID":                    "character 3: {{ has no }}",
		"/x/{{ .VolumeID }}":                "character 1: there is no name before the /",
		"x//{{ .VolumeID }}":                "character 3: there is no name before the /",
		"x/../{{ .VolumeID }}":              "character 3: a name cannot begin with '.'",
		"-x{{ .VolumeID }}":                 "character 1: a name cannot begin with '-'",
		"a b/{{ .VolumeID }}":               `character 2: " " cannot stand here`,
		"ä{{ .VolumeID }}":                  `character 1: "ä" cannot stand here`,
		"a}}{{ .VolumeID }}":                `character 2: "}" cannot stand here`,
		"x={{ .VolumeID }}":                 `character 2: "=" cannot stand here`,
		"a/b/c/d/e/{{ .VolumeID }}":         "character 10: this is directory 5; there can be 4",
		"{{ print .PVC }}{{ .VolumeID }}":   `character 1: there is no field "print .PVC"`,
		strings.Repeat("a", 501):            "it has 501 characters, and may have 500",
	} {
		_, err := ParseParameters(map[string]string{"pathTemplate": template}, Builtin())
		if state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), "parameters: pathTemplate is ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", template, err, want)
		}
	}
}

func TestAnEmptyTemplateIsNone(t *testing.T) {
	with, err := ParseParameters(map[string]string{"pathTemplate": "{{ .VolumeID }}"}, Builtin())
	if err != nil || with.PathTemplate == nil {
		t.Fatalf("%+v, %v", with, err)
	}
	if without, err := ParseParameters(map[string]string{"pathTemplate": ""}, with); err != nil || without.PathTemplate != nil {
		t.Errorf("%+v, %v", without, err)
	}
}

func TestADefaultTemplateIsCheckedWithTheFile(t *testing.T) {
	_, err := Parse("config.yaml", strings.NewReader(`apiVersion: hostpath-csi.dev/v1alpha1
kind: Configuration
pools:
- name: default
  path: /pool
defaults:
  pathTemplate: "{{ .PVC.Namespace }}/{{ .PVC.Name }}"
`))
	if err == nil || !strings.Contains(err.Error(), "config.yaml:7:17: defaults.pathTemplate: ") || !strings.Contains(err.Error(), "character 37: it has to end with {{ .VolumeID }}") {
		t.Errorf("got %v", err)
	}
}

func FuzzPathTemplate(f *testing.F) {
	for _, s := range []string{"", "{{ .VolumeID }}", "{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}", "a/{{.PV.Name}}{{", "}}{{", "a/b/c/d/{{.VolumeID}}"} {
		f.Add(s, "shop", "data", "pvc-1")
		f.Add(s, "..", "a/b", provisionedID)
	}
	f.Fuzz(func(t *testing.T, s, namespace, name, volume string) {
		template, err := ParsePathTemplate(s)
		if err != nil {
			return
		}
		id := state.VolumeID(volume)
		path, err := template.Path(id, &state.Claim{Namespace: namespace, Name: name, PV: volume})
		if err != nil {
			if namespace != "" && name != "" && volume != "" {
				t.Fatal(err)
			}
			return
		}
		if got, ok := state.PathID(path); !ok || got != id {
			t.Fatalf("%q makes %q, which is of volume %q (%v), not %q", s, path, got, ok, id)
		}
	})
}
