package show

import (
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// healthy is what is said of a thing without a condition.
const healthy = "Healthy"

// healthCell shows the reasons of all that is wrong.
func healthCell(all []state.Health) Cell {
	if len(all) == 0 {
		return Cell{Text: healthy, Color: Good}
	}
	var reasons []string
	color := Doubtful
	for _, h := range all {
		reasons = append(reasons, Name(h.Reason))
		if h.Type != state.Degraded {
			color = Bad
		}
	}
	return Cell{Text: strings.Join(reasons, ","), Color: color}
}

// healthNotes tell what mends it.
func healthNotes(of string, all []state.Health) (notes []Note) {
	for _, h := range all {
		if h.Message != "" {
			notes = append(notes, Note{Of: of, Text: h.Message, Color: healthCell([]state.Health{h}).Color})
		}
	}
	return notes
}
