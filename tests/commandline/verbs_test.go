package commandline

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// verbs are what there is to do on a machine and in a cluster; those that list something are true.
var verbs = map[string]bool{
	"volumes": true, "snapshots": true, "pools": true, "du": true, "doctor": true,
	"orphans ls": true, "orphans adopt": false, "orphans remove": false, "adopt": false,
	"archive ls": true, "archive restore": false, "archive purge": false,
}

// programs are both command lines.
func programs(t *testing.T) map[string]string {
	t.Helper()
	plugin := filepath.Join(t.TempDir(), "kubectl-hostpath")
	if out, err := exec.Command("go", "build", "-o", plugin, "github.com/hostpath-csi/hostpath-csi/cmd/kubectl-hostpath").CombinedOutput(); err != nil {
		t.Fatalf("building kubectl-hostpath: %v\n%s", err, out)
	}
	return map[string]string{"hostpath-csi": process.Binary(t, ""), "kubectl hostpath": plugin}
}

// completed returns the words that a program completes a command line with.
func completed(t *testing.T, program string, line ...string) (words []string) {
	t.Helper()
	out, err := exec.Command(program, append([]string{"__complete"}, line...)...).Output()
	must(t, err)
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		words = append(words, word)
	}
	return words
}

// Who knows one of the command lines knows the other: the verbs are the same, and whatever lists
// something does so in each format.
func TestBothCommandLinesHaveTheSameVerbs(t *testing.T) {
	for name, program := range programs(t) {
		for verb, lists := range verbs {
			words := strings.Fields(verb)
			last := len(words) - 1
			if !slices.Contains(completed(t, program, append(words[:last:last], "")...), words[last]) {
				t.Errorf("%s has no %s", name, verb)
			}
			if !lists {
				continue
			}
			if got := completed(t, program, append(slices.Clone(words), "-o", "")...); !slices.Equal(got[:len(got)-1], []string{"table", "wide", "json", "yaml"}) {
				t.Errorf("%s %s -o is completed with %q", name, verb, got)
			}
			out, err := exec.Command(program, append(slices.Clone(words), "-o", "xml")...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "it takes table, wide, json, yaml") {
				t.Errorf("%s %s -o xml: %v, %s", name, verb, err, out)
			}
		}
	}
}

// The page of the commands names each of them, for both.
func TestThePageOfTheCommandsHasEveryVerb(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	must(t, err)
	for _, program := range []string{"hostpath-csi", "kubectl hostpath"} {
		for verb := range verbs {
			group, _, grouped := strings.Cut(verb, " ")
			if !strings.Contains(string(page), program+" "+verb) && !(grouped && strings.Contains(string(page), program+" "+group+" ls`, ")) {
				t.Errorf("docs/commands.md does not show '%s %s'", program, verb)
			}
		}
	}
}

// Both print what completes them in each shell; kubectl asks a program of another name.
func TestShellsAreToldHowToComplete(t *testing.T) {
	for name, program := range programs(t) {
		for _, shell := range []string{"bash", "zsh", "fish"} {
			out, err := exec.Command(program, "completion", shell).CombinedOutput()
			if err != nil || !strings.Contains(string(out), filepath.Base(program)) {
				t.Errorf("%s completion %s: %v\n%.200s", name, shell, err, out)
			}
		}
		if name != "kubectl hostpath" {
			continue
		}
		completer := filepath.Join(filepath.Dir(program), "kubectl_complete-hostpath")
		must(t, os.Symlink(filepath.Base(program), completer))
		out, err := exec.Command(completer, "pools", "-o", "").Output()
		if err != nil || !strings.HasPrefix(string(out), "table\nwide\n") {
			t.Errorf("what kubectl asks to complete says %v\n%s", err, out)
		}
	}
}
