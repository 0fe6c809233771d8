package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheFileSaysHowToLog(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"it says json":                      {"log: {format: json}\n", "json"},
		"it says text":                      {"log: {format: text}\n", "text"},
		"it says nothing":                   {"", "as the flag says"},
		"it is wrong, which the role tells": {"log: {format: json, colour: red}\n", "as the flag says"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			must(t, os.WriteFile(file, []byte("apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\npools: [{name: default, path: /srv/pool}]\n"+c.log), 0o644))
			o := logOptions{format: "as the flag says"}
			if o.formatFrom(file); o.format != c.want {
				t.Errorf("the format is %q; want %q", o.format, c.want)
			}
		})
	}
	o := logOptions{format: "text"}
	if o.formatFrom(""); o.format != "text" {
		t.Errorf("without a file, the format is %q", o.format)
	}
}
