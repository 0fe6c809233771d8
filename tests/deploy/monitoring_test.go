package deploy

import (
	"fmt"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// What is for the Prometheus operator has no key that the operator does not know.
func TestThePrometheusOperatorKnowsWhatItIsGiven(t *testing.T) {
	monitoring, err := overlay("monitoring")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]any{"PodMonitor": &monitoringv1.PodMonitor{}, "PrometheusRule": &monitoringv1.PrometheusRule{}}
	seen := 0
	for _, o := range monitoring {
		into, ok := known[o.kind()]
		if !ok {
			continue
		}
		seen++
		b, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(b, into); err != nil {
			t.Errorf("%s: %v", o.key(), err)
		}
		if err := yaml.UnmarshalStrict([]byte(strings.Replace(string(b), "spec:", "spec:\n  colour: red", 1)), into); err == nil {
			t.Errorf("%s: an unknown key is taken", o.key())
		}
	}
	if seen != len(known) {
		t.Errorf("of %d kinds there are %d objects", len(known), seen)
	}
}

// However it is installed, the PodMonitor finds every pod of the driver, and of each container, sidecars
// too, the port that it serves metrics on.
func TestEveryContainerIsScraped(t *testing.T) {
	monitoring, err := overlay("monitoring")
	if err != nil {
		t.Fatal(err)
	}
	monitors := byKind(monitoring, "PodMonitor")
	if len(monitors) != 1 {
		t.Fatalf("there are %d PodMonitors", len(monitors))
	}
	selector, _ := at(monitors[0], "spec", "selector", "matchLabels").(map[string]any)
	used := map[any]bool{}
	for name, objects := range everything(t) {
		drivers := 0
		for _, o := range objects {
			for _, container := range list(o.podSpec(), "containers") {
				if at(container, "name") == "hostpath-csi" {
					drivers++
				}
				for label, want := range selector {
					if got := at(o, "spec", "template", "metadata", "labels", label); got != want {
						t.Errorf("%s: the pods of %s have %s: %v; the PodMonitor wants %v", name, o.key(), label, got, want)
					}
				}
				all := flags(container)
				served := all["metrics-address"] + all["http-endpoint"] // the driver's flag, and that of its sidecars
				var scraped []string
				for _, endpoint := range list(monitors[0], "spec", "podMetricsEndpoints") {
					if number, ok := portNamed(container, at(endpoint, "port")); ok {
						used[at(endpoint, "port")] = true
						scraped = append(scraped, fmt.Sprintf(":%v", number))
					}
				}
				if len(scraped) != 1 || scraped[0] != served {
					t.Errorf("%s: %s: container %v serves metrics at %q; scraped is %q", name, o.key(), at(container, "name"), served, scraped)
				}
			}
		}
		if drivers == 0 {
			t.Errorf("%s: no pod has the driver in it", name)
		}
	}
	if got := len(list(monitors[0], "spec", "podMetricsEndpoints")); got != len(used) {
		t.Errorf("the PodMonitor has %d endpoints; there are ports for %v", got, used)
	}
}

func portNamed(container, name any) (number any, ok bool) {
	for _, port := range list(container, "ports") {
		if at(port, "name") == name {
			return at(port, "containerPort"), true
		}
	}
	return nil, false
}

// The log is set up by keys of the driver's ConfigMap, which are there; all else of the
// environment can be had from another one.
func TestTheEnvironmentComesFromConfigMaps(t *testing.T) {
	for name, objects := range everything(t) {
		data := map[any]any{}
		for _, o := range byKind(objects, "ConfigMap") {
			data[o.name()] = at(o, "data")
		}
		for _, o := range objects {
			for _, container := range list(o.podSpec(), "containers") {
				if at(container, "name") != "hostpath-csi" {
					continue
				}
				missing := map[string]string{"HOSTPATH_CSI_V": "log-verbosity", "HOSTPATH_CSI_LOG_FORMAT": "log-format"}
				for _, v := range list(container, "env") {
					variable := fmt.Sprint(at(v, "name"))
					if from := at(v, "valueFrom", "configMapKeyRef"); from != nil && at(from, "key") == missing[variable] {
						if value, _ := at(data[at(from, "name")], missing[variable]).(string); value == "" {
							t.Errorf("%s: %s: %s is of a key that ConfigMap %v lacks", name, o.key(), variable, at(from, "name"))
						}
						delete(missing, variable)
					}
				}
				if len(missing) > 0 {
					t.Errorf("%s: %s does not have these from the ConfigMap: %v", name, o.key(), missing)
				}
				more := list(container, "envFrom")
				if len(more) != 1 || at(more[0], "configMapRef", "name") != "hostpath-csi-environment" || at(more[0], "configMapRef", "optional") != true {
					t.Errorf("%s: %s has more of its environment from %v", name, o.key(), more)
				}
			}
		}
	}
}
