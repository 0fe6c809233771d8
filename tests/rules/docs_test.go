package rules

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// pages returns every page of the repository, by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == ".git" || name == "bin" || name == "out") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are those of a page's headings, as GitHub makes them.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		all[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return all
}

// broken returns what is wrong with the links of a page, of those within the repository.
func broken(path, page string, all map[string]string) (wrong []string) {
	for _, l := range link.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		if strings.Contains(l[1], "://") {
			continue
		}
		to, anchor, _ := strings.Cut(l[1], "#")
		at := path
		if to != "" {
			at = filepath.Join(filepath.Dir(path), to)
			if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
				wrong = append(wrong, l[1]+" leads nowhere")
				continue
			}
		}
		if anchor != "" && !anchors(all[at])[anchor] {
			wrong = append(wrong, l[1]+" has no such heading")
		}
	}
	return wrong
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for path, page := range all {
		for _, wrong := range broken(path, page, all) {
			t.Errorf("%s: %s", path, wrong)
		}
	}
	const page = "# A `b`, c\n[x](#a-b-c) [y](none.md) [z](#d)\n```\n# d\n```\n"
	if wrong := broken(root+"/docs/x.md", page, map[string]string{root + "/docs/x.md": page}); len(wrong) != 2 {
		t.Errorf("of two broken links, %q are found", wrong)
	}
}

func TestTheIndexHasEveryPage(t *testing.T) {
	all := pages(t)
	index := all[filepath.Join(root, "docs/README.md")]
	for path := range all {
		if name := filepath.Base(path); filepath.Dir(path) == filepath.Join(root, "docs") && name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not have %s", name)
		}
	}
}
