package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigCheckLooksAtWhatItIsAskedTo(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("/srv", filepath.Join(dir, "link")))
	file := filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(file, []byte(`apiVersion: hostpath-csi.dev/v1alpha1
kind: Configuration
pools:
- {name: all, path: `+dir+`/real}
- {name: linked, path: `+dir+`/link/pool, nodes: {matchLabels: {disk: linked}}}
- {name: inner, path: `+dir+`/real/inner, nodes: {matchLabels: {disk: inner}}}
`), 0o644))
	for name, c := range map[string]struct {
		flags        []string
		prints, says string // of these, one
	}{
		"the file alone":          {nil, "linked at " + dir + "/link/pool (disk=linked)", ""},
		"a node's pools together": {[]string{"--node-labels", "disk=inner"}, "", file + `:6:23: pools[2].path: "` + dir + `/real/inner" overlaps with "` + dir + `/real", the path of pool all in line 4`},
		"another node's":          {[]string{"--node-labels", "disk=linked"}, "all at " + dir + "/real (all nodes)\n  linked", ""},
		"and this machine":        {[]string{"--node-labels", "disk=linked", "--this-node"}, "", file + ":5:24: pools[1].path: " + dir + "/link is a symbolic link to /srv"},
		"labels that are none":    {[]string{"--node-labels", "disk"}, "", `--node-labels is "disk"; it takes NAME=VALUE`},
	} {
		out, err := execute(t, append([]string{"config", "check", file}, c.flags...)...)
		if c.says == "" && (err != nil || !strings.Contains(out, c.prints)) || c.says != "" && (err == nil || !strings.HasPrefix(err.Error(), c.says)) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestConfigCheckReadsStandardInput(t *testing.T) {
	for in, want := range map[string]string{
		mustExecute(t, "config", "default"): "",
		"apiVersion: v1\nkind: ConfigMap\n": `standard input:1:13: apiVersion: got "v1"; it takes hostpath-csi.dev/v1alpha1`,
	} {
		root := newRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetIn(strings.NewReader(in))
		root.SetArgs([]string{"config", "check", "-"})
		err := root.Execute()
		if want == "" && (err != nil || !strings.HasPrefix(out.String(), "- is right; pools:\n")) || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("of %.20q: %v, %s", in, err, out.String())
		}
	}
}
