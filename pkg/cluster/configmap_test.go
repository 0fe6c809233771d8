package cluster

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// told returns the events of a fake cluster, as "TYPE REASON on KIND NAMESPACE/NAME: MESSAGE".
func told(t *testing.T, client *fake.Clientset) (all []string) {
	t.Helper()
	events, err := client.CoreV1().Events("").List(soon(t), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		of := e.InvolvedObject
		all = append(all, e.Type+" "+e.Reason+" on "+of.Kind+" "+of.Namespace+"/"+of.Name+": "+e.Message)
	}
	return all
}

func TestAWrongConfigurationIsToldOnItsConfigMap(t *testing.T) {
	kube := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hostpath-csi", UID: "uid-1"}})
	client := of(kube)
	m := &ConfigMap{Client: client, Recorder: NewRecorder(client, "n1"), Name: "hostpath-csi", Who: "node n1"}
	m.Tell(t.Context(), nil)
	if got := told(t, kube); len(got) > 0 {
		t.Errorf("that nothing is wrong is told: %q", got)
	}
	wrong := errors.New("config.yaml:7:9: pools[0].path: got \"srv\"")
	for range 3 {
		m.Tell(t.Context(), wrong)
	}
	want := `Warning ConfigurationRefused on ConfigMap hostpath-csi/hostpath-csi: node n1 keeps the last good configuration: config.yaml:7:9: pools[0].path: got "srv"`
	if got := told(t, kube); len(got) != 1 || got[0] != want {
		t.Errorf("it is told:\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	events, err := kube.CoreV1().Events(namespace).List(soon(t), metav1.ListOptions{})
	if err != nil || events.Items[0].InvolvedObject.UID != "uid-1" {
		t.Errorf("kubectl describe does not find it: %v, %+v", err, events)
	}

	// Another process, as after a restart: it is the same event.
	again := &ConfigMap{Client: client, Recorder: NewRecorder(client, "n1"), Name: "hostpath-csi", Who: "node n1"}
	again.Tell(t.Context(), wrong)
	if got := told(t, kube); len(got) != 1 {
		t.Errorf("after a restart it is told once more: %q", got)
	}
	m.Tell(t.Context(), errors.New("config.yaml:8:1: x: unknown key"))
	m.Tell(t.Context(), nil)
	m.Tell(t.Context(), nil)
	got := told(t, kube)
	if len(got) != 3 || !strings.Contains(strings.Join(got, "\n"), "Normal ConfigurationAccepted on ConfigMap hostpath-csi/hostpath-csi: node n1 has it in force again") {
		t.Errorf("another mistake and its mending are told:\n%s", strings.Join(got, "\n"))
	}
}

func TestAConfigMapThatCannotBeReadIsToldOfAllTheSame(t *testing.T) {
	kube := fake.NewClientset()
	client := of(kube)
	m := &ConfigMap{Client: client, Recorder: NewRecorder(client, ""), Name: "gone", Who: "the controller"}
	m.Tell(t.Context(), errors.New("no such file"))
	if got := told(t, kube); len(got) != 1 || !strings.Contains(got[0], "ConfigMap hostpath-csi/gone") {
		t.Errorf("it is told: %q", got)
	}
}

func TestAnEventIsOfTheLengthThatTheAPITakes(t *testing.T) {
	kube := fake.NewClientset()
	r := NewRecorder(of(kube), "")
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolume", Name: strings.Repeat("n.", 126) + "n"}
	if err := r.Tell(t.Context(), ref, corev1.EventTypeWarning, "Long", strings.Repeat("ü", 2000)); err != nil {
		t.Fatal(err)
	}
	events, err := kube.CoreV1().Events(metav1.NamespaceDefault).List(soon(t), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 {
		t.Fatalf("%v, %d events", err, len(events.Items))
	}
	if e := events.Items[0]; len(e.Message) > 1024 || !strings.HasSuffix(e.Message, "ü ...") || len(e.Name) > 253 || strings.Contains(e.Name, "..") {
		t.Errorf("its message has %d bytes and ends with %q, its name is %s", len(e.Message), e.Message[len(e.Message)-8:], e.Name)
	}
}

func TestWhoDoesNotStartDoesNotSayThatItGoesOn(t *testing.T) {
	kube := fake.NewClientset()
	client := of(kube)
	m := &ConfigMap{Client: client, Recorder: NewRecorder(client, "n1"), Name: "hostpath-csi", Who: "node n1"}
	m.TellAtStart(t.Context(), errors.New("config.yaml:7:9: x"))
	if got := told(t, kube); len(got) != 1 || !strings.HasSuffix(got[0], ": node n1 does not start with it: config.yaml:7:9: x") {
		t.Errorf("it is told: %q", got)
	}
	var none *ConfigMap // --config-map was not given
	none.TellAtStart(t.Context(), errors.New("x"))
	none.Tell(t.Context(), nil)
}
