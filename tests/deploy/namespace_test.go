package deploy

import "testing"

// Whoever has a namespace of his own for it changes one line.
func TestAnotherNamespaceWillDo(t *testing.T) {
	objects, err := own(map[string]any{"namespace": "storage", "resources": []string{"overlays/ha"}, "components": []string{"components/snapshots"}})
	if err != nil {
		t.Fatal(err)
	}
	bound := 0
	for _, o := range objects {
		if o.kind() == "Namespace" && o.name() != "storage" {
			t.Errorf("the namespace is %s", o.name())
		}
		if space := at(o, "metadata", "namespace"); space != nil && space != "storage" {
			t.Errorf("%s is elsewhere", o.key())
		}
		for _, subject := range list(o, "subjects") {
			bound++
			if at(subject, "namespace") != "storage" {
				t.Errorf("%s is for an account of %v", o.key(), at(subject, "namespace"))
			}
		}
	}
	if bound == 0 {
		t.Error("no account has a role")
	}
}
