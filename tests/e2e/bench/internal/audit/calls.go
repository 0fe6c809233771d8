package audit

import (
	"cmp"
	"slices"
)

// Calls are those of a client, with one verb, about one kind of objects, per volume.
type Calls struct {
	Client    string  `json:"client"`
	Verb      string  `json:"verb"`
	What      string  `json:"what"`
	PerVolume float64 `json:"perVolume"`
	Writes    bool    `json:"writes"`
}

// Count tells who made which calls, the most frequent first for each client. Calls that failed count.
func Count(events []Event, volumes int) []Calls {
	counts := map[Calls]float64{}
	for _, e := range events {
		counts[Calls{Client: e.Client(), Verb: e.Verb, What: e.What(), Writes: e.Writes()}]++
	}
	var all []Calls
	for c, n := range counts {
		c.PerVolume = n / float64(volumes)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Calls) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), -cmp.Compare(a.PerVolume, b.PerVolume), cmp.Compare(a.What, b.What), cmp.Compare(a.Verb, b.Verb))
	})
	return all
}
