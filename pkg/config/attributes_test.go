package config

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestTheAttributesOfAnEphemeralVolume(t *testing.T) {
	defaults := Builtin()
	defaults.Pool, defaults.OnDelete = "bulk", state.OnDeleteArchive
	got, err := ParseAttributes(map[string]string{
		"size": "1Gi", "mode": "0750",
		"csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.name": "p", "csi.storage.k8s.io/pod.namespace": "n",
		"csi.storage.k8s.io/pod.uid": "u", "csi.storage.k8s.io/serviceAccount.name": "default",
	}, defaults)
	if err != nil {
		t.Fatal(err)
	}
	if got.SizeBytes != 1<<30 || got.Mode != 0o750 || got.Pool != "bulk" || got.Pod != (state.Pod{Namespace: "n", Name: "p", UID: "u"}) {
		t.Errorf("got %+v", got)
	}
	if got.OnDelete != state.OnDeleteRemove {
		t.Errorf("what a pod leaves is to be kept: %s", got.OnDelete)
	}
}

func TestAttributesThatAPodMayNotGive(t *testing.T) {
	for name, test := range map[string]struct {
		given map[string]string
		want  string
	}{
		"no size":                    {nil, "size is missing; it takes a size such as 1Gi"},
		"a size that is none":        {map[string]string{"size": "much"}, `size is "much"; it takes a size such as 1Gi`},
		"an empty size":              {map[string]string{"size": ""}, "size is"},
		"no room at all":             {map[string]string{"size": "0"}, `size is "0"`},
		"a negative size":            {map[string]string{"size": "-1Gi"}, `size is "-1Gi"`},
		"a size with an exponent":    {map[string]string{"size": "1e1000000000"}, "size is"},
		"a path":                     {map[string]string{"size": "1Gi", "path": "/etc"}, `unknown key "path"; known are mode, pool, size`},
		"a pool that is a path":      {map[string]string{"size": "1Gi", "pool": "../../etc"}, `pool is "../../etc"`},
		"another owner":              {map[string]string{"size": "1Gi", "uid": "0"}, `unknown key "uid"`},
		"what becomes of it":         {map[string]string{"size": "1Gi", "onDelete": "archive"}, `unknown key "onDelete"`},
		"a choice of pools":          {map[string]string{"size": "1Gi", "poolSelector": "a=b"}, `unknown key "poolSelector"`},
		"bits that are no mode":      {map[string]string{"size": "1Gi", "mode": "rwx"}, `mode is "rwx"`},
		"the size in other letters":  {map[string]string{"Size": "1Gi"}, `unknown key "Size"`},
		"a claim that is not theirs": {map[string]string{"csi.storage.k8s.io/pvc/name": "a"}, "size is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseAttributes(test.given, Builtin())
			if state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add("size", "1Gi", "pool", "default")
	f.Add("mode", "0777", "csi.storage.k8s.io/pod.name", "p")
	f.Add("size", "1e9", "path", "/")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		a, err := ParseAttributes(map[string]string{k1: v1, k2: v2}, Builtin())
		if err != nil {
			if state.ReasonOf(err) != state.Invalid {
				t.Fatalf("not told as invalid: %v", err)
			}
			return
		}
		if a.SizeBytes <= 0 || a.Pool != "" && !state.ValidID(a.Pool) || a.Mode > 0o7777 || a.Claim != nil || a.UserID != 0 || a.GroupID != 0 {
			t.Fatalf("got %+v", a)
		}
	})
}
