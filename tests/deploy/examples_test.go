package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// examples returns every example, by the name of its file.
func examples(t *testing.T) map[string][]object {
	t.Helper()
	files, err := filepath.Glob(root + "/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	all := map[string][]object{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := parse(file, string(content))
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = objects
	}
	return all
}

func TestExamplesUseClassesAndDriversThatAreInstalled(t *testing.T) {
	installed, err := with("overlays/default", "components/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]bool{}
	for _, o := range byKind(installed, "StorageClass", "VolumeSnapshotClass", "CSIDriver") {
		classes[o.name()] = true
	}
	for name, objects := range examples(t) {
		used := 0
		for _, o := range objects {
			for _, class := range classesIn(map[string]any(o)) {
				used++
				if !classes[class] {
					t.Errorf("%s: %s uses the class %s, which is not installed", name, o.key(), class)
				}
			}
			for _, v := range list(o.podSpec(), "volumes") {
				driver, _ := at(v, "csi", "driver").(string)
				if driver == "" {
					continue
				}
				used++
				if !classes[driver] {
					t.Errorf("%s: %s uses the driver %s, which is not installed", name, o.key(), driver)
				}
			}
		}
		if used == 0 {
			t.Errorf("%s uses no class, nor a driver", name)
		}
	}
}

// classesIn finds every class named below v: in claims and their templates, snapshots, PVs.
func classesIn(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if name == "storageClassName" || name == "volumeSnapshotClassName" {
				all = append(all, fmt.Sprint(field))
			}
			all = append(all, classesIn(field)...)
		}
	case []any:
		for _, item := range v {
			all = append(all, classesIn(item)...)
		}
	}
	return all
}

func TestExamplesHoldTogether(t *testing.T) {
	for name, objects := range examples(t) {
		there := map[string]bool{}
		for _, o := range objects {
			there[o.kind()+" "+o.name()] = true
		}
		for _, o := range objects {
			var needed []string
			for _, v := range list(o.podSpec(), "volumes") {
				if claim := at(v, "persistentVolumeClaim", "claimName"); claim != nil {
					needed = append(needed, fmt.Sprintf("PersistentVolumeClaim %v", claim))
				}
			}
			if source := at(o, "spec", "dataSource"); source != nil {
				needed = append(needed, fmt.Sprintf("%v %v", at(source, "kind"), at(source, "name")))
			}
			if claim := at(o, "spec", "source", "persistentVolumeClaimName"); claim != nil {
				needed = append(needed, fmt.Sprintf("PersistentVolumeClaim %v", claim))
			}
			if o.kind() == "StatefulSet" {
				needed = append(needed, fmt.Sprintf("Service %v", at(o, "spec", "serviceName")))
			}
			for _, n := range needed {
				if !there[n] {
					t.Errorf("%s: %s needs %s, which is not in the file", name, o.key(), n)
				}
			}
			for _, image := range imagesOf([]object{o}) {
				if !pinned.MatchString(image) {
					t.Errorf("%s: image %s is not pinned to a version", name, image)
				}
			}
		}
	}
}

// A person finds each in the documentation.
func TestExamplesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for name := range examples(t) {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.Contains(string(page), "deploy/examples/"+name) {
			t.Errorf("docs/install.md does not speak of deploy/examples/%s", name)
		}
	}
}
