package audit

import (
	"fmt"
	"time"
)

// Claim is one whose way is followed, by the names under which the API server knows it.
type Claim struct {
	Namespace, Name string
	Volume          string    // its PersistentVolume, and its record
	From            time.Time // when its volume was first wanted, or no more
}

// Stage is how long claims were in one stage of their way, in the mean, in seconds. The stages
// of a way follow each other without a gap.
type Stage struct {
	Name string  `json:"name"`
	Mean float64 `json:"mean"`
}

// stage ends with an event: with the first that is it, or with the last.
type stage struct {
	name     string
	is       func(Event) bool
	last     bool
	arriving bool // it ends when that call arrives, not when it is answered
}

// Who has a claim in hand, from the wish for a volume until it is bound.
var (
	scheduling = stage{name: "scheduler: chooses a node", is: call(Scheduler, "persistentvolumeclaims")}
	asking     = stage{name: "controller manager: asks for a volume", is: call(ControllerManager, "persistentvolumeclaims")}
	calling    = stage{name: "csi-provisioner: until it calls the driver", is: call(Controller, records), arriving: true}
	making     = stage{name: "driver: makes the volume", is: call(Node, records+"/status")}
	storing    = stage{name: "csi-provisioner: until it writes the PV", is: call(Provisioner, "persistentvolumes")}
	binding    = stage{name: "controller manager: binds", is: call(ControllerManager, "persistentvolumeclaims/status"), last: true}
)

// Who has it in hand from the claim's deletion until PV and record are gone. The driver answers
// when the volume is out of the way, and ends the record meanwhile.
var (
	releasing  = stage{name: "controller manager: releases the PV", is: call(ControllerManager, "persistentvolumes/status")}
	forgetting = stage{name: "csi-provisioner: until it calls the driver", is: call(Controller, records), arriving: true}
	removing   = stage{name: "driver: removes the volume", is: call(Node, records+"/status")}
	ending     = stage{name: "csi-provisioner: until the PV is gone", is: call("", "persistentvolumes"), last: true}
	finalizing = stage{name: "driver: until the record is gone", is: call(Node, records), last: true}
)

// Way is the stages of a claim in their order.
type Way []stage

// The ways of claims: to be bound, at once or when a pod needs them, and to be gone.
var (
	Immediate = Way{asking, calling, making, storing, binding}
	Waiting   = Way{scheduling, asking, calling, making, storing, binding}
	Deletion  = Way{releasing, forgetting, removing, ending, finalizing}
)

const records = "hostpathvolumes"

// call is a write by a client ("": by anybody) of a kind of objects that succeeded.
func call(client, what string) func(Event) bool {
	return func(e Event) bool {
		return e.Writes() && e.Done() && e.What() == what && (client == "" || e.Client() == client)
	}
}

// Follow tells how long claims were in each stage of their way. It fails where an event is missing.
func Follow(way Way, claims []Claim, events []Event) ([]Stage, error) {
	about := map[string][]Event{}
	for _, e := range events {
		key := e.Object.Namespace + "/" + e.Object.Name
		about[key] = append(about[key], e)
	}
	stages := make([]Stage, len(way))
	for _, c := range claims {
		mine := append(about[c.Namespace+"/"+c.Name], about["/"+c.Volume]...)
		at := c.From
		for i, s := range way {
			end, ok := s.end(mine)
			if !ok {
				return nil, fmt.Errorf("claim %s/%s, volume %s: the API server tells of no end of the stage %q", c.Namespace, c.Name, c.Volume, s.name)
			}
			stages[i].Name = s.name
			// What ended before its turn took no time: the stages add up.
			if end.After(at) {
				stages[i].Mean += end.Sub(at).Seconds() / float64(len(claims))
				at = end
			}
		}
	}
	return stages, nil
}

// end is when the stage of one claim ended, by its events.
func (s stage) end(events []Event) (end time.Time, ok bool) {
	for _, e := range events {
		if !s.is(e) {
			continue
		}
		at := e.Answered
		if s.arriving {
			at = e.Received
		}
		if !ok || s.last == at.After(end) {
			end, ok = at, true
		}
	}
	return end, ok
}
