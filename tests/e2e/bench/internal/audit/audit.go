// Package audit reads what an API server wrote down of those who asked it: who made which
// calls for a volume, and when, which tells where the time of a claim went.
package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Event is one answered call, as far as it is of interest (audit.k8s.io/v1, Event).
type Event struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	UserAgent string `json:"userAgent"`
	Object    struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Status struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
	Answered time.Time `json:"stageTimestamp"`
}

// Log is a file that an API server appends to.
type Log struct {
	file *os.File
	in   *bufio.Reader
	rest string // of a line whose end is not there yet
}

// Open opens the log and goes to its end.
func Open(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Log{file: f, in: bufio.NewReader(f)}, nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

// Next returns what was written since the last Next, or Open.
func (l *Log) Next() (events []Event, err error) {
	for {
		line, err := l.in.ReadString('\n')
		l.rest += line
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		var e Event
		if err := json.Unmarshal([]byte(l.rest), &e); err != nil {
			return nil, fmt.Errorf("a line of %s: %w: %q", l.file.Name(), err, l.rest)
		}
		l.rest = ""
		events = append(events, e)
	}
}

// Who calls.
const (
	Controller        = "controller"
	Node              = "node plugin"
	Provisioner       = "csi-provisioner"
	ControllerManager = "controller manager"
	Scheduler         = "scheduler"
	Kubelet           = "kubelet"
)

// Client is who made the call, by its account, and within a pod by its program.
func (e Event) Client() string {
	program, _, _ := strings.Cut(e.UserAgent, "/")
	switch name := e.User.Username; {
	case name == "system:serviceaccount:hostpath-csi:hostpath-csi-node":
		return Node
	case strings.HasPrefix(name, "system:serviceaccount:hostpath-csi:"):
		if program == "hostpath-csi" {
			return Controller
		}
		return program
	case strings.HasPrefix(name, "system:serviceaccount:kube-system:"), name == "system:kube-controller-manager":
		return ControllerManager
	case name == "system:kube-scheduler":
		return Scheduler
	case strings.HasPrefix(name, "system:node:"):
		return Kubelet
	default:
		return program
	}
}

// Writes tells whether the call changes something.
func (e Event) Writes() bool { return e.Verb != "get" && e.Verb != "list" && e.Verb != "watch" }

// Done tells whether the call did what it was to do.
func (e Event) Done() bool { return e.Status.Code < 300 }

// What is the kind of objects that the call was about.
func (e Event) What() string {
	if e.Object.Subresource == "" {
		return e.Object.Resource
	}
	return e.Object.Resource + "/" + e.Object.Subresource
}
