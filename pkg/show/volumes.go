package show

import (
	"strings"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Volumes is a list of volumes.
type Volumes struct {
	Volumes []Volume `json:"volumes"`
}

// Volume is one volume, as a command line tells of it.
type Volume struct {
	ID string `json:"id"`
	// Name is the CSI name: of a PersistentVolume, where Kubernetes asked for it.
	Name  string       `json:"name,omitempty"`
	Claim *state.Claim `json:"claim,omitempty"`
	// Pod is whose volume it is, if it is an ephemeral one.
	Pod           *state.Pod       `json:"pod,omitempty"`
	Node          string           `json:"node,omitempty"`
	Pool          string           `json:"pool"`
	AccessType    state.AccessType `json:"accessType,omitempty"`
	CapacityBytes int64            `json:"capacityBytes"`
	// UsedBytes is nil where it is not known.
	UsedBytes *int64 `json:"usedBytes,omitempty"`
	// UsedAtLeast tells that the count ended before it had seen everything.
	UsedAtLeast bool `json:"usedAtLeast,omitempty"`
	// Enforced tells whether the filesystem holds the volume to its size.
	Enforced bool `json:"enforced"`
	// Path is where the data lies: absolute on a machine, relative to the pool otherwise.
	Path string `json:"path,omitempty"`
	// Targets are the paths at which it is published, known on its machine only.
	Targets   []string    `json:"targets,omitempty"`
	CreatedAt time.Time   `json:"createdAt"`
	Phase     state.Phase `json:"phase,omitempty"`
	// Health lists what is wrong with it.
	Health []state.Health `json:"health,omitempty"`
}

// Table shows the volumes as of now.
func (l Volumes) Table(wide bool, now time.Time) Table {
	t := Table{Columns: columns("CLAIM", "NODE", "POOL", ">SIZE", ">USED", ">AGE", "HEALTH", "PATH"), Empty: "no volumes"}
	if wide {
		t.Columns = append(columns("VOLUME"), append(t.Columns, columns("ACCESS", "ENFORCED", "PUBLISHED AT")...)...)
	}
	for _, v := range l.Volumes {
		row := Row{text(v.claim()), text(Name(v.Node)), text(Name(v.Pool)), text(Size(v.CapacityBytes)), v.used(), text(age(v.CreatedAt, now)),
			phaseCell(v.Phase, v.Health), text(Name(v.Path))}
		if wide {
			targets := make([]string, len(v.Targets))
			for i, target := range v.Targets {
				targets[i] = Name(target)
			}
			row = append(Row{text(Name(v.ID))}, append(row, text(Name(string(v.AccessType))), text(yesNo(v.Enforced)), text(orNone(strings.Join(targets, ","))))...)
		}
		t.Rows = append(t.Rows, row)
		t.Notes = append(t.Notes, healthNotes(v.called(), v.Health)...)
	}
	return t
}

// claim is whom the volume is for: the claim of a Kubernetes user, or a pod, or else its ID.
func (v Volume) claim() string {
	if v.Pod != nil && v.Pod.Name != "" {
		return "pod " + Name(v.Pod.Namespace+"/"+v.Pod.Name)
	}
	if v.Claim == nil || v.Claim.Name == "" {
		return Name(v.ID)
	}
	return Name(v.Claim.Namespace + "/" + v.Claim.Name)
}

func (v Volume) called() string {
	if c := v.claim(); c != Name(v.ID) {
		return c + " (" + Name(v.ID) + ")"
	}
	return Name(v.ID)
}

func (v Volume) used() Cell {
	if v.UsedBytes == nil {
		return text(none)
	}
	c := text(Size(*v.UsedBytes))
	if v.UsedAtLeast {
		c.Text = ">" + c.Text
	}
	if v.CapacityBytes > 0 {
		if c.Color = fullness(float64(*v.UsedBytes) / float64(v.CapacityBytes)); c.Color == Good {
			c.Color = Plain
		}
	}
	return c
}

// phaseCell shows the health of what is ready, and the phase of what is not.
func phaseCell(phase state.Phase, health []state.Health) Cell {
	switch phase {
	case "", state.Ready:
		return healthCell(health)
	case state.Failed:
		c := healthCell(health)
		return Cell{Text: string(phase) + ": " + c.Text, Color: Bad}
	}
	return Cell{Text: Name(string(phase)), Color: Doubtful}
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}
