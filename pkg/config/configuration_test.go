package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const head = "apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\n"

// onePool is right; the first line of what is added is the sixth.
const onePool = head + "pools:\n- name: default\n  path: /srv/pool\n"

func parse(contents string) (*Configuration, error) {
	return Parse("c.yaml", strings.NewReader(contents))
}

func mustParse(t *testing.T, contents string) *Configuration {
	t.Helper()
	c, err := parse(contents)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsLeftOutHasItsDefault(t *testing.T) {
	c := mustParse(t, onePool)
	p := c.Pools[0]
	if p.Name != "default" || p.Path != "/srv/pool" || p.Overcommit != 1 || p.Reserve != (Reserve{}) || p.Cordoned || p.RequireMountPoint {
		t.Errorf("%+v", p)
	}
	if !p.Nodes.Matches(labels.Set{}) || c.Defaults.Mode != DefaultMode || c.Log.Verbosity != nil {
		t.Errorf("%+v", c)
	}
}

func TestEveryKey(t *testing.T) {
	c := mustParse(t, head+`
pools:
- name: fast
  path: /mnt/nvme
  nodes:
    matchLabels: {disk: ssd}
    matchExpressions:
    - {key: zone, operator: In, values: [a, b]}
    - {key: old, operator: DoesNotExist}
  labels: {tier: "1"}
  requireMountPoint: true
  reserve: 2.5%
  overcommit: 1.5
  cordoned: true
  image: {path: /mnt/nvme.img, size: 10Gi, filesystem: btrfs, provisioning: thin}
  enforcement: required
- name: big
  path: /mnt/hdd
  reserve: 10Gi
  device: {path: /dev/disk/by-id/hdd}
  enforcement: none
  projectIDs: {first: 100, last: 199}
defaults: {pool: big, mode: 0750, uid: 7, gid: "8", onDelete: delete}
log: {verbosity: 4, format: json}
`)
	fast, big := c.Pools[0], c.Pools[1]
	if fast.Labels["tier"] != "1" || !fast.RequireMountPoint || fast.Reserve.Percent != 2.5 || fast.Overcommit != 1.5 || !fast.Cordoned {
		t.Errorf("%+v", fast)
	}
	if *fast.Image != (Image{"/mnt/nvme.img", 10 << 30, "btrfs", state.Thin}) || fast.Device != nil || fast.Enforcement != state.EnforcementRequired {
		t.Errorf("%+v", fast)
	}
	if *big.Device != (Device{"/dev/disk/by-id/hdd", "xfs"}) || big.Image != nil || big.Enforcement != state.EnforcementNone || big.ProjectIDs != (IDRange{100, 199}) {
		t.Errorf("%+v", big)
	}
	if big.Reserve.Bytes != 10<<30 {
		t.Errorf("%+v", big)
	}
	for name, want := range map[string]bool{"disk=ssd,zone=b": true, "disk=ssd": false, "disk=ssd,zone=b,old=": false, "disk=hdd,zone=a": false} {
		set, err := labels.ConvertSelectorToLabelsMap(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fast.Nodes.Matches(set); got != want {
			t.Errorf("a node with %s: selected is %v", name, got)
		}
	}
	d := c.Defaults
	if d.Pool != "big" || d.Mode != 0o750 || d.UserID != 7 || d.GroupID != 8 || *c.Log.Verbosity != 4 || c.Log.Format != "json" {
		t.Errorf("%+v, %+v", d, c.Log)
	}
}

func TestAProblemIsToldWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ contents, want string }{
		"no file at all":                     {"", "c.yaml: it is empty"},
		"nothing but a comment":              {"# soon\n", "c.yaml: it is empty"},
		"no YAML":                            {head + "pools: [\n", "c.yaml:3:1: it is not YAML: "},
		"a list":                             {"- a\n", "c.yaml:1:1: got a list; it takes a mapping"},
		"a second document":                  {onePool + "---\nkind: x\n", "c.yaml:6:1: there is a second document"},
		"another version":                    {"apiVersion: v1\n", `c.yaml:1:13: apiVersion: got "v1"; it takes hostpath-csi.dev/v1alpha1`},
		"no kind":                            {"apiVersion: hostpath-csi.dev/v1alpha1\n", "c.yaml:1:1: 'kind: Configuration' is missing"},
		"no pools":                           {head, "c.yaml: pools: there is none"},
		"an unknown key":                     {onePool + "  size: 1Gi\n", "c.yaml:6:9: pools[0].size: unknown key; known here are name, path,"},
		"an unknown key at top":              {onePool + "pool: x\n", "c.yaml:6:7: pool: unknown key"},
		"a hostile key":                      {onePool + "  \"a\\nb\": x\n", `c.yaml:6:11: pools[0]["a\nb"]: unknown key`},
		"a key twice":                        {onePool + "  name: x\n", "c.yaml:6:3: pools[0].name: the key is there twice, first in line 4"},
		"a wrong unit":                       {onePool + "  reserve: 10GB\n", `c.yaml:6:12: pools[0].reserve: got "10GB"; it takes a share such as 5%, or a size such as 10Gi`},
		"too large a share":                  {onePool + "  reserve: 101%\n", "pools[0].reserve: got"},
		"a share of not a number":            {onePool + "  reserve: NaN%\n", "pools[0].reserve: got"},
		"an endless exponent":                {onePool + "  reserve: 1e1000000000\n", "pools[0].reserve: got"},
		"half a byte":                        {onePool + "  reserve: 0.5\n", "pools[0].reserve: got"},
		"no value":                           {onePool + "  reserve:\n", "c.yaml:6:11: pools[0].reserve: got nothing; it takes"},
		"no overcommit":                      {onePool + "  overcommit: 0\n", `pools[0].overcommit: got "0"; it takes a number from 0.01 to 100`},
		"overcommit of no number":            {onePool + "  overcommit: NaN\n", "pools[0].overcommit: got"},
		"yes for true":                       {onePool + "  cordoned: yes\n", `pools[0].cordoned: got "yes"; it takes true or false`},
		"an alias":                           {onePool + "  labels: &a {x: y}\n- *a\n", "c.yaml:7:3: pools[1]: got an alias (*a)"},
		"a bad name":                         {head + "pools:\n- {name: ../x, path: /x}\n", "c.yaml:4:10: pools[0].name: got"},
		"a relative path":                    {head + "pools:\n- {name: x, path: x}\n", `c.yaml:4:19: pools[0].path: got "x"; it takes an absolute path`},
		"the root":                           {head + "pools:\n- {name: x, path: /}\n", "pools[0].path: got"},
		"a way up":                           {head + "pools:\n- {name: x, path: /a/../b}\n", "pools[0].path: got"},
		"no path":                            {head + "pools:\n- {name: x}\n", "c.yaml:4:3: pools[0]: 'path' is missing"},
		"a pool twice":                       {onePool + "- name: default\n  path: /other\n", `c.yaml:6:9: pools[1].name: there is a pool "default" already, in line 4`},
		"a pool in another":                  {onePool + "- name: x\n  path: /srv/pool/x\n", `c.yaml:7:9: pools[1].path: "/srv/pool/x" overlaps with "/srv/pool", the path of pool default in line 5`},
		"a bad label":                        {onePool + "  labels: {a b: c}\n", "c.yaml:6:17: pools[0].labels[\"a b\"]: "},
		"an unknown operator":                {onePool + "  nodes: {matchExpressions: [{key: a, operator: Is}]}\n", "pools[0].nodes.matchExpressions[0].operator: got"},
		"In without values":                  {onePool + "  nodes: {matchExpressions: [{key: a, operator: In}]}\n", "pools[0].nodes.matchExpressions[0]: "},
		"an unknown default":                 {onePool + "defaults: {size: 1Gi}\n", "c.yaml:6:18: defaults.size: unknown key \"size\"; known are "},
		"a bad default":                      {onePool + "defaults: {mode: 999}\n", `c.yaml:6:18: defaults.mode: mode is "999"; it takes permission bits`},
		"no such default pool":               {onePool + "defaults: {pool: x}\n", `c.yaml:6:18: defaults.pool: there is no pool "x" in this file`},
		"both ways to a pool":                {onePool + "defaults: {pool: default, poolSelector: a=b}\n", "defaults.pool: poolSelector is given, too"},
		"an image without size":              {onePool + "  image: {path: /i}\n", "c.yaml:6:10: pools[0].image: 'size' is missing"},
		"an image without path":              {onePool + "  image: {size: 1Gi}\n", "c.yaml:6:10: pools[0].image: 'path' is missing"},
		"a tiny image":                       {onePool + "  image: {path: /i, size: 1Mi}\n", `c.yaml:6:27: pools[0].image.size: got "1Mi"; it takes a size such as 10Gi, at least 320Mi`},
		"an image of ext4":                   {onePool + "  image: {path: /i, size: 1Gi, filesystem: ext4}\n", `pools[0].image.filesystem: got "ext4"; it takes xfs or btrfs`},
		"a fat image":                        {onePool + "  image: {path: /i, size: 1Gi, provisioning: fat}\n", `pools[0].image.provisioning: got "fat"; it takes thick or thin`},
		"an unknown key of image":            {onePool + "  image: {file: /i}\n", "c.yaml:6:17: pools[0].image.file: unknown key; known here are path, size, filesystem, provisioning"},
		"an image in its pool":               {onePool + "  image: {path: /srv/pool/i, size: 1Gi}\n", `pools[0].image.path: "/srv/pool/i" lies in "/srv/pool", the path of pool default`},
		"an image in another":                {onePool + "- name: x\n  path: /x\n  image: {path: /srv/pool/i, size: 1Gi}\n", `pools[1].image.path: "/srv/pool/i" lies in "/srv/pool", the path of pool default`},
		"an image twice":                     {onePool + "  image: {path: /i, size: 1Gi}\n- name: x\n  path: /x\n  image: {path: /i, size: 1Gi}\n", `pools[1].image.path: "/i" is the image of pool default, too`},
		"a device twice":                     {onePool + "  device: {path: /d}\n- name: x\n  path: /x\n  device: {path: /d}\n", `pools[1].device.path: "/d" is the device of pool default, too`},
		"a device without path":              {onePool + "  device: {}\n", "pools[0].device: 'path' is missing"},
		"an image and a device":              {onePool + "  device: {path: /d}\n  image: {path: /i, size: 1Gi}\n", "c.yaml:6:11: pools[0].device: image is given, too; it takes one of them"},
		"an unknown enforcement":             {onePool + "  enforcement: strict\n", `c.yaml:6:16: pools[0].enforcement: got "strict"; it takes required, preferred or none`},
		"project 0":                          {onePool + "  projectIDs: {first: 0, last: 5}\n", `pools[0].projectIDs.first: got "0"; it takes a project ID, 1 to 4294967294`},
		"half a range":                       {onePool + "  projectIDs: {first: 5}\n", "pools[0].projectIDs: 'first' or 'last' is missing"},
		"a range backwards":                  {onePool + "  projectIDs: {first: 5, last: 4}\n", "c.yaml:6:15: pools[0].projectIDs: 5 to 4 are given"},
		"a format of logs that there is not": {onePool + "log: {format: xml}\n", "c.yaml:6:15: log.format: got \"xml\"; it takes text or json"},
		"a verbosity of no sense":            {onePool + "log: {verbosity: 11}\n", "c.yaml:6:18: log.verbosity: got \"11\"; it takes a number from 0 to 10"},
	} {
		_, err := parse(c.contents)
		var problems Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant: %s", name, err, c.want)
		}
	}
}

func TestAllProblemsAreToldInTheirOrder(t *testing.T) {
	_, err := parse(head + "pools:\n- name: A\n  path: b\n  size: 1\n")
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 3 || problems[0].Line != 4 || problems[2].Line != 6 {
		t.Errorf("%v", err)
	}
}

// Who tells of a file only what is new goes by the text.
func TestOneFileHasOneError(t *testing.T) {
	for _, contents := range []string{"x: y\n", "pools: []\n", head + "pools:\n- {}\n- {}\n"} {
		_, first := parse(contents)
		for range 30 {
			if _, err := parse(contents); err == nil || err.Error() != first.Error() {
				t.Fatalf("of %q it is told:\n%v\nand then\n%v", contents, first, err)
			}
		}
	}
}

func TestPoolsOfDifferentNodesMayShareAPath(t *testing.T) {
	c := mustParse(t, head+`
pools:
- {name: ssd, path: /mnt/disk, nodes: {matchLabels: {disk: ssd}}}
- {name: hdd, path: /mnt/disk, nodes: {matchLabels: {disk: hdd}}}
- {name: all, path: /srv}
- {name: big, path: /mnt, nodes: {matchLabels: {size: big}}}
`)
	pools, err := c.On(map[string]string{"disk": "hdd"})
	if err != nil || len(pools) != 2 || pools[0].Name != "hdd" || pools[1].Name != "all" {
		t.Errorf("%v, %v", pools, err)
	}
	if _, err := c.On(map[string]string{"disk": "hdd", "size": "big"}); err == nil || !strings.Contains(err.Error(), `pools[3].path: "/mnt" overlaps with "/mnt/disk", the path of pool hdd in line 6`) {
		t.Errorf("%v", err)
	}
}

func TestAPathThroughASymbolicLinkIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink("/srv", path) },
		"file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"real": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		if err := make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"link/pool": "is a symbolic link to /srv", "link": "is a symbolic link", "file/x": "is no directory", "real/not/yet": ""} {
		c := mustParse(t, head+"pools:\n- name: x\n  path: "+filepath.Join(dir, path)+"\n")
		err := c.CheckPaths(c.Pools)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "c.yaml:5:9: pools[0].path: ")) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAnImageIsLookedAtOnItsNode(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "img")
	c := mustParse(t, onePool+"  image: {path: "+image+", size: 400Mi}\n")
	if err := c.CheckPaths(c.Pools); err != nil {
		t.Errorf("it is not there yet: %v", err)
	}
	for name, wrong := range map[string]struct {
		make func() error
		want string
	}{
		"larger already": {func() error { return errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 401<<20)) },
			"pools[0].image.size: " + image + " has 420478976 bytes already, and cannot be made smaller"},
		"a symbolic link": {func() error { return os.Symlink("elsewhere", image) },
			"pools[0].image.path: " + image + " is no regular file"},
	} {
		if err := wrong.make(); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckPaths(c.Pools); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%s: %v", name, err)
		}
		_ = os.Remove(image)
	}
}

func TestTheDefaultFileIsRight(t *testing.T) {
	mustParse(t, Default())
	// Whoever takes the comment marks away gets something right, too.
	var bare []string
	for line := range strings.SplitSeq(Default(), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		if rest, ok := strings.CutPrefix(trimmed, "# "); ok {
			key, value, ok := strings.Cut(rest, ":")
			if !ok || strings.Contains(key, " ") || value == "" || value[0] != ' ' || strings.HasSuffix(rest, ".") {
				continue
			}
			line = strings.Repeat(" ", len(line)-len(trimmed)) + rest
		}
		bare = append(bare, line)
	}
	c := mustParse(t, strings.Join(bare, "\n"))
	if !c.Pools[0].Cordoned || c.Pools[0].Labels["tier"] != "fast" || c.Log.Verbosity == nil {
		t.Errorf("%+v", c)
	}
}

var update = flag.Bool("update", false, "write the reference into docs/configuration.md")

// TestTheReferenceIsThatOfTheSchema fails when docs/configuration.md is behind:
// run it with -update.
func TestTheReferenceIsThatOfTheSchema(t *testing.T) {
	const page, begin, end = "../../docs/configuration.md", "<!-- begin of the generated part -->\n", "<!-- end of the generated part -->\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks %q and %q", page, begin, end)
	}
	want := "\n" + Reference() + "\n"
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != want {
		t.Errorf("%s is not what the schema says: go test ./pkg/config -run TestTheReference -update", page)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(onePool)
	f.Add(Default())
	f.Add(onePool + "- *a\n- &a {? [x] : y}\n")
	f.Add(onePool + "  nodes: {matchExpressions: [{key: a, operator: In, values: [b]}]}\ndefaults: {poolSelector: a in (b)}\n")
	f.Fuzz(func(t *testing.T, contents string) {
		c, err := parse(contents)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Errorf("%q: %v", contents, err)
			}
			return
		}
		if len(c.Pools) == 0 {
			t.Errorf("%q has no pools", contents)
		}
		for _, p := range c.Pools {
			if p.Name == "" || !validPath(p.Path) || p.Overcommit <= 0 || p.Reserve.Bytes < 0 {
				t.Errorf("%q gives %+v", contents, p)
			}
		}
	})
}
