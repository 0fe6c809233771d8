package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A newcomer who types what docs/walkthrough.md shows, and nothing else, sees what it shows: the
// page's files are written, its commands run, and what they print is compared.
func TestTheWalkthroughShowsWhatHappens(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/walkthrough.md"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := kube.CoreV1().ConfigMaps(driverNamespace).Get(t.Context(), "hostpath-csi", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := newcomer{world: &world{t, "default"}, dir: t.TempDir(), is: map[string]string{}, pools: m.Data["config.yaml"]}
	t.Cleanup(w.leave)
	ran := 0
	for _, b := range blocksOf(string(page)) {
		switch {
		case b.language == "console":
			for _, c := range commandsOf(b.text) {
				w.types(c)
				ran++
			}
		case b.file != "":
			if err := os.WriteFile(filepath.Join(w.dir, b.file), []byte(w.asHere(b.text)), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("the page does not say which file this is:\n%s", b.text)
		}
	}
	if ran < 20 {
		t.Errorf("only %d commands were found on the page", ran)
	}
}

// newcomer does what a page says.
type newcomer struct {
	*world
	dir string
	// is what has another name here than on the page: volumes, snapshots, archived volumes.
	is map[string]string
	// pools are those that the cluster had before.
	pools string
}

func (w *newcomer) asHere(text string) string {
	var pairs []string
	for there, here := range w.is {
		pairs = append(pairs, there, here)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// types runs a command, which has to print what the page shows. What only looks is tried until it
// does, as a person would.
func (w *newcomer) types(c shown) {
	w.Helper()
	var printed string
	once := func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", w.asHere(c.command))
		cmd.Dir = w.dir
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PATH="+filepath.Join(root, "tests/e2e/cluster")+":"+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if printed = string(out); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if want, got := shape(c.output), shape(printed); got != want {
			return fmt.Errorf("the page shows\n%s\nand here it prints\n%s\nin short, the page\n%s\nhere\n%s", c.output, printed, want, got)
		}
		return nil
	}
	if looks.MatchString(c.command) {
		w.eventually(c.command, once)
	} else if err := once(w.Context()); err != nil {
		w.Fatalf("%s: %v", c.command, err)
	}
	w.Logf("$ %s\n%s", w.asHere(c.command), printed)
	here := names.FindAllString(printed, -1)
	for i, there := range names.FindAllString(c.output, -1) { // as many, since the shape is the same
		if before, ok := w.is[there]; ok && before != here[i] {
			w.Errorf("%s: %s of the page was %s before, and is %s now", c.command, there, before, here[i])
		}
		w.is[there] = here[i]
	}
}

// leave takes away what the page leaves.
func (w *newcomer) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	do := func(args ...string) {
		if _, err := kubectl(ctx, w.ns, "", args...); err != nil {
			w.Error(err)
		}
	}
	do("delete", "pods,pvc,volumesnapshots", "--all", "--wait")
	pvs, err := kubectl(ctx, w.ns, "", "get", "pv", "-o", "name")
	if err != nil {
		w.Error(err)
	}
	for pv := range strings.FieldsSeq(pvs) {
		do("patch", pv, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	}
	do("delete", "storageclass/keep", "--ignore-not-found")
	err = poll(ctx, func(ctx context.Context) error {
		left, err := kubectl(ctx, w.ns, "", "get", "pv,hostpathvolumes", "-o", "name")
		if err == nil && left != "" {
			err = errors.New("there are still " + left)
		}
		return err
	})
	if err != nil {
		w.Error(err)
	}
	if err := poll(ctx, func(ctx context.Context) error { return putConfig(ctx, func(string) string { return w.pools }) }); err != nil {
		w.Error(err)
	}
	kept, err := w.kept(ctx)
	if err != nil {
		w.Error(err)
	}
	for _, a := range kept {
		if _, err := hostpath(ctx, "archive", "purge", a.Name); err != nil {
			w.Error(err)
		}
	}
}

// block is one of a page's between ``` and ```, and the file that the text before it names.
type block struct{ language, file, text string }

var fileNamed = regexp.MustCompile("`([a-z]+\\.yaml)`:\\s*$")

func blocksOf(page string) (all []block) {
	parts := strings.Split("\n"+page, "\n```")
	for i := 1; i+1 < len(parts); i += 2 {
		language, text, _ := strings.Cut(parts[i], "\n")
		b := block{language: language, text: text + "\n"}
		if named := fileNamed.FindStringSubmatch(parts[i-1]); named != nil {
			b.file = named[1]
		}
		all = append(all, b)
	}
	return all
}

// shown is a command on a page, and what it prints there.
type shown struct{ command, output string }

func commandsOf(text string) (all []shown) {
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, shown{command: strings.TrimSpace(command)})
		} else if n := len(all); n > 0 {
			all[n-1].output += line
		}
	}
	return all
}

// looks matches what changes nothing.
var looks = regexp.MustCompile(`^kubectl (get|describe|wait|hostpath (volumes|snapshots|pools|nodes|du|archive ls|orphans ls))\b`)

// names are those that each run has others of.
var names = regexp.MustCompile(`[a-z]+_[a-z]+\.[0-9]{4}-[0-9]{2}-[0-9]{2}\.[0-9a-f]{8}|(pvc|snapshot)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// inShape are what differs from run to run, and what stands for it.
var inShape = []struct {
	differs *regexp.Regexp
	as      string
}{
	{names, "NAME"},
	{regexp.MustCompile(`\bn[1-9]\b`), "NODE"},
	{regexp.MustCompile(`[█░]{10} [0-9]+%`), "BAR"},
	{regexp.MustCompile(`\b[0-9]+(\.[0-9]+)? ?([KMGT]iB|B)\b`), "SIZE"},
	{regexp.MustCompile(`\b([0-9]+(ms|[smhd]))+\b`), "AGE"},
	{regexp.MustCompile(` \(no change\)`), ""},                           // where the page's pools are those that there were
	{regexp.MustCompile(`\b(ext4|xfs|tmpfs|overlayfs)\b`), "FILESYSTEM"}, // of the machine's own disk
}

// shape is what an output has in common with that of other runs.
func shape(output string) string {
	for _, s := range inShape {
		output = s.differs.ReplaceAllString(output, s.as)
	}
	var lines []string
	for line := range strings.Lines(output) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// The comparison can fail: it sees another state, another number of lines, another size of what
// was asked for.
func TestTheWalkthroughIsComparedWithWhatItShows(t *testing.T) {
	const page = "$ kubectl hostpath volumes\nCLAIM          NODE   USED             AGE   HEALTH\ndefault/data   n2     ░░░░░░░░░░ 0%    2s   Healthy   pvc-f86f4a6f-13e3-48f6-b211-c5b531d4d85c\n"
	of := commandsOf(page)
	if len(of) != 1 || of[0].command != "kubectl hostpath volumes" || !looks.MatchString(of[0].command) {
		t.Fatalf("%+v", of)
	}
	for here, same := range map[string]bool{
		"CLAIM   NODE   USED   AGE   HEALTH\ndefault/data   n1   ██████████ 100%   1m3s   Healthy   pvc-00000000-13e3-48f6-b211-c5b531d4d85c\n": true,
		"CLAIM   NODE   USED   AGE   HEALTH\ndefault/data   n1   ██████████ 100%   1m3s   Lost      pvc-00000000-13e3-48f6-b211-c5b531d4d85c\n": false,
		"CLAIM   NODE   USED   AGE   HEALTH\n": false,
	} {
		if got := shape(here) == shape(of[0].output); got != same {
			t.Errorf("%q is taken for the same: %v", here, got)
		}
	}
	if blocks := blocksOf("In `a.yaml`:\n\n```yaml\nx: y\n```\n\nand\n\n```console\n$ z\n```\n"); len(blocks) != 2 || blocks[0] != (block{"yaml", "a.yaml", "x: y\n"}) || blocks[1].file != "" {
		t.Errorf("%+v", blocks)
	}
}
