package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Attributes are those of a volume that a pod asks for by itself, without a claim (CSI:
// NodePublishVolumeRequest.volume_context of an ephemeral volume).
type Attributes struct {
	// SizeBytes is always given.
	SizeBytes int64
	// Parameters are those that a class would give.
	Parameters
	// Pod is who asks, as the kubelet tells.
	Pod state.Pod
}

// attributes are the parameters that whoever makes pods may set, beside the size: none
// that says what becomes of what others left, and none that names a path.
var attributes = []string{"mode", "pool"}

// ephemeralKey says that a volume_context is one of an ephemeral volume.
const ephemeralKey = provisionerPrefix + "ephemeral"

// IsEphemeral tells whether a volume_context is that of a volume that a pod asks for by
// itself. The kubelet writes it over what a pod says.
func IsEphemeral(volumeContext map[string]string) bool { return volumeContext[ephemeralKey] == "true" }

// ParseAttributes reads the volume_context of an ephemeral volume. It comes from whoever
// makes pods, but for what the kubelet adds. Errors have the Reason Invalid.
func ParseAttributes(given map[string]string, defaults Parameters) (Attributes, error) {
	a := Attributes{Parameters: defaults}
	a.Given = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		if rest, ok := strings.CutPrefix(name, provisionerPrefix); ok {
			a.fromKubelet(rest, value)
			continue
		}
		if name == "size" {
			bytes, ok := parseSize(value)
			if !ok {
				return a, state.Errorf(state.Invalid, "volume_context: size is %s; it takes a size such as 1Gi", state.Quote(value))
			}
			a.SizeBytes = bytes
			continue
		}
		if !slices.Contains(attributes, name) {
			return a, state.Errorf(state.Invalid, "volume_context: unknown key %s; known are %s, size", state.Quote(name), strings.Join(attributes, ", "))
		}
		if err := a.set(name, value); err != nil {
			return a, state.Errorf(state.Invalid, "volume_context: %w", err)
		}
		a.Given[name] = true
	}
	if a.SizeBytes == 0 {
		return a, state.Errorf(state.Invalid, "volume_context: size is missing; it takes a size such as 1Gi, to which the volume is held")
	}
	if a.OnDelete == state.OnDeleteArchive {
		a.OnDelete = state.OnDeleteRemove // it is to end with its pod
	}
	return a, nil
}

func (a *Attributes) fromKubelet(name, value string) {
	if len(value) > maxClaimBytes {
		return // no name of a Kubernetes object
	}
	switch name {
	case "pod.name":
		a.Pod.Name = value
	case "pod.namespace":
		a.Pod.Namespace = value
	case "pod.uid":
		a.Pod.UID = value
	}
}
