package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// roleOf names what a workload runs: controller, node or standalone; "" if it is none of ours.
func roleOf(o object) string {
	for _, container := range list(o.podSpec(), "containers") {
		if at(container, "name") == "hostpath-csi" {
			return texts(container, "args")[0]
		}
	}
	return ""
}

func TestTheControllerReachesNoHost(t *testing.T) {
	seen := 0
	for name, objects := range everything(t) {
		for _, o := range objects {
			if roleOf(o) != "controller" {
				continue
			}
			seen++
			spec := o.podSpec()
			for _, field := range []string{"hostNetwork", "hostPID", "hostIPC"} {
				if at(spec, field) != nil {
					t.Errorf("%s: %s has %s", name, o.key(), field)
				}
			}
			for _, v := range list(spec, "volumes") {
				if at(v, "hostPath") != nil {
					t.Errorf("%s: %s reaches %v on its host", name, o.key(), at(v, "hostPath", "path"))
				}
			}
			for _, want := range [][]string{{"runAsNonRoot", "true"}, {"seccompProfile", "map[type:RuntimeDefault]"}} {
				if got := fmt.Sprint(at(spec, "securityContext", want[0])); got != want[1] {
					t.Errorf("%s: %s has %s %s, not %s", name, o.key(), want[0], got, want[1])
				}
			}
			for _, container := range list(spec, "containers") {
				if user := at(container, "securityContext", "runAsUser"); user != nil {
					t.Errorf("%s: container %v runs as user %v of its own", name, at(container, "name"), user)
				}
				for _, port := range list(container, "ports") {
					if at(port, "hostPort") != nil {
						t.Errorf("%s: container %v takes a port of its host", name, at(container, "name"))
					}
				}
			}
		}
	}
	if seen == 0 {
		t.Error("there is no controller")
	}
}

// It is one container on every node, whatever is wrong with the node, and is exchanged on
// a part of the nodes at a time.
func TestTheNodePluginIsOnEveryNode(t *testing.T) {
	seen := 0
	for name, objects := range everything(t) {
		for _, o := range byKind(objects, "DaemonSet") {
			seen++
			spec := o.podSpec()
			containers := list(spec, "containers")
			if len(containers) != 1 || list(spec, "initContainers") != nil {
				t.Errorf("%s: its pod has %d containers", name, len(containers))
			}
			if got := fmt.Sprint(at(spec, "tolerations")); got != "[map[operator:Exists]]" {
				t.Errorf("%s: it tolerates %s", name, got)
			}
			if got := at(spec, "priorityClassName"); got != "system-node-critical" {
				t.Errorf("%s: its priority is %v", name, got)
			}
			for _, resource := range []string{"cpu", "memory"} {
				if at(containers[0], "resources", "requests", resource) == nil {
					t.Errorf("%s: it requests no %s", name, resource)
				}
			}
			update := at(o, "spec", "updateStrategy")
			if got := fmt.Sprint(at(update, "rollingUpdate", "maxUnavailable")); at(update, "type") != "RollingUpdate" || !strings.HasSuffix(got, "%") {
				t.Errorf("%s: it is exchanged by %v", name, update)
			}
		}
	}
	if seen == 0 {
		t.Error("there is no node plugin")
	}
}

// The kubelet starts again what does not answer, and no probe asks for more than the
// container has ports for.
func TestEveryRoleIsProbed(t *testing.T) {
	for name, objects := range everything(t) {
		for _, o := range objects {
			if roleOf(o) == "" {
				continue
			}
			for _, container := range list(o.podSpec(), "containers") {
				if at(container, "name") != "hostpath-csi" {
					continue
				}
				for probe, service := range map[string]any{"startupProbe": "liveness", "livenessProbe": "liveness", "readinessProbe": nil} {
					port := at(container, probe, "grpc", "port")
					if port == nil || at(container, probe, "grpc", "service") != service {
						t.Errorf("%s: %s has the %s %v", name, o.key(), probe, at(container, probe))
					}
					if !slices.ContainsFunc(list(container, "ports"), func(p any) bool { return fmt.Sprint(at(p, "containerPort")) == fmt.Sprint(port) }) {
						t.Errorf("%s: %s: the %s asks port %v, which it does not have", name, o.key(), probe, port)
					}
				}
			}
		}
	}
}

// Each pod of the driver has one policy: in comes what asks its own ports, out goes what
// asks the API server.
func TestPoliciesLetInWhatIsServedAndOutToTheAPIServer(t *testing.T) {
	for name, objects := range everything(t) {
		for _, o := range objects {
			if roleOf(o) == "" {
				continue
			}
			labels, _ := at(o, "spec", "template", "metadata", "labels").(map[string]any)
			var mine []object
			for _, policy := range byKind(objects, "NetworkPolicy") {
				chosen, _ := at(policy, "spec", "podSelector", "matchLabels").(map[string]any)
				if len(chosen) > 0 && includes(labels, chosen) {
					mine = append(mine, policy)
				}
			}
			if len(mine) != 1 {
				t.Errorf("%s: %s has %d policies", name, o.key(), len(mine))
				continue
			}
			if got := texts(mine[0], "spec", "policyTypes"); !slices.Equal(got, []string{"Ingress", "Egress"}) {
				t.Errorf("%s: %s is about %v", name, mine[0].key(), got)
			}
			in := portsOf(mine[0], "ingress")
			for _, container := range list(o.podSpec(), "containers") {
				for _, port := range list(container, "ports") {
					if served := fmt.Sprint(at(port, "name")); !slices.Contains(in, served) {
						t.Errorf("%s: %s keeps out who asks port %s of %v", name, mine[0].key(), served, at(container, "name"))
					}
				}
			}
			if out := portsOf(mine[0], "egress"); !slices.Equal(out, []string{"443", "6443"}) {
				t.Errorf("%s: %s lets out to the ports %v", name, mine[0].key(), out)
			}
		}
	}
}

// portsOf returns the ports of the one rule that a policy has for a direction.
func portsOf(policy object, direction string) (ports []string) {
	rules := list(policy, "spec", direction)
	if len(rules) != 1 {
		return []string{fmt.Sprintf("%d rules", len(rules))}
	}
	for _, p := range list(rules[0], "ports") {
		ports = append(ports, fmt.Sprint(at(p, "port")))
	}
	return ports
}

func includes(labels, chosen map[string]any) bool {
	for name, value := range chosen {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// With several controllers one may be away at a time, and no more.
func TestSeveralControllersAreKeptFromLeavingAtOnce(t *testing.T) {
	for name, objects := range everything(t) {
		for _, o := range objects {
			if roleOf(o) != "controller" {
				continue
			}
			several := fmt.Sprint(at(o, "spec", "replicas")) != "1"
			labels, _ := at(o, "spec", "template", "metadata", "labels").(map[string]any)
			budgets := byKind(objects, "PodDisruptionBudget")
			if several != (len(budgets) == 1) {
				t.Errorf("%s has %v controllers and %d budgets", name, at(o, "spec", "replicas"), len(budgets))
			}
			for _, budget := range budgets {
				chosen, _ := at(budget, "spec", "selector", "matchLabels").(map[string]any)
				if !includes(labels, chosen) || len(chosen) == 0 || fmt.Sprint(at(budget, "spec", "maxUnavailable")) != "1" {
					t.Errorf("%s: %s is about %v, %v of which may be away", name, budget.key(), chosen, at(budget, "spec", "maxUnavailable"))
				}
			}
		}
	}
}
