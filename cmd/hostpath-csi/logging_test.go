package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

// written is a log that many write.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

// take returns what was written since.
func (w *written) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.b.Reset()
	return w.b.String()
}

// logged sets up logging by these flags until the test ends.
func logged(t *testing.T, format string, verbosity int) (*logOptions, *written) {
	t.Helper()
	o, w := &logOptions{format: format, verbosity: verbosity}, &written{}
	must(t, o.apply(w))
	t.Cleanup(klog.ClearLogger)
	return o, w
}

// asLine is what a line of text begins with: when, and what line of this file logs.
var asLine = regexp.MustCompile(`^[IE]\d{4} [\d:.]+ +\d+ logging_test\.go:\d+\] `)

func formatOf(line string) string {
	switch {
	case json.Valid([]byte(line)):
		return asJSON
	case asLine.MatchString(line):
		return asText
	}
	return fmt.Sprintf("that of %q", line)
}

func TestTheFormatOfTheLogChangesWhileItIsWritten(t *testing.T) {
	o, w := logged(t, asText, 0)
	derived := klog.Background().WithName("part").WithValues("volume", "a")
	var writers sync.WaitGroup
	end := make(chan struct{})
	writers.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				klog.InfoS("Amid", "took", time.Second)
			}
		}
	})
	verbosity := 2
	for name, c := range map[string]struct {
		log          config.Log
		format       string
		speaksOfMore bool
	}{
		"the file says json and more":     {config.Log{Format: asJSON, Verbosity: &verbosity}, asJSON, true},
		"the file says text":              {config.Log{Format: asText}, asText, false},
		"the file says nothing any more":  {config.Log{}, asText, false},
		"the file says how much only":     {config.Log{Verbosity: &verbosity}, asText, true},
		"the file says json, and no more": {config.Log{Format: asJSON}, asJSON, false},
	} {
		must(t, o.follow(c.log))
		w.take()
		klog.InfoS("Of klog")
		klog.ErrorS(os.ErrNotExist, "Of an error")
		derived.Info("Of a logger that was there before")
		klog.V(2).InfoS("Of more")
		derived.V(2).Info("Of more")
		lines := map[string]int{}
		for line := range strings.Lines(w.take()) {
			if line = strings.TrimRight(line, "\n"); strings.Contains(line, "Of ") && formatOf(line) != c.format {
				t.Errorf("%s: want %s; the format is %s", name, c.format, formatOf(line))
			}
			for _, what := range []string{"Of klog", "Of an error", "Of a logger", "Of more"} {
				if strings.Contains(line, what) {
					lines[what]++
				}
			}
		}
		if want := map[bool]int{true: 2}[c.speaksOfMore]; lines["Of more"] != want || lines["Of klog"] != 1 || lines["Of an error"] != 1 || lines["Of a logger"] != 1 {
			t.Errorf("%s: of each message, so many lines are written: %v", name, lines)
		}
	}
	close(end)
	writers.Wait()
}

func TestWhatIsLoggedIsWholeInBothFormats(t *testing.T) {
	o, w := logged(t, asText, 0)
	derived := klog.Background().WithName("part").WithValues("volume", "a")
	for format, want := range map[string][]string{
		asText: {`"Done" logger="part" volume="a" took="1.5s"`},
		asJSON: {`"msg":"Done"`, `"logger":"part"`, `"volume":"a"`, `"took":"1.5s"`},
	} {
		must(t, o.follow(config.Log{Format: format}))
		derived.Info("Done", "took", 1500*time.Millisecond)
		line := w.take()
		for _, part := range want {
			if !strings.Contains(line, part) {
				t.Errorf("%s: %s lacks %s", format, line, part)
			}
		}
	}
}

func TestFlagsOfTheLogThatMakeNoSense(t *testing.T) {
	for want, o := range map[string]*logOptions{
		`--log-format is "xml"; it takes text or json`: {format: "xml"},
		"-v is -1; it takes 0 or more":                 {format: asText, verbosity: -1},
	} {
		if err := o.apply(&written{}); err == nil || err.Error() != want {
			t.Errorf("%v\nwant: %s", err, want)
		}
	}
}

func TestTheFileSaysHowToLog(t *testing.T) {
	const head = "apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\npools: [{name: default, path: /srv/pool}]\n"
	file := filepath.Join(t.TempDir(), "config.yaml")
	for name, c := range map[string]struct{ log, flag, want string }{
		"it says json":                      {"log: {format: json}\n", asText, asJSON},
		"it says text":                      {"log: {format: text}\n", asJSON, asText},
		"it says nothing":                   {"", asJSON, asJSON},
		"it is wrong, which the role tells": {"log: {format: json, colour: red}\n", asText, asText},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(file, []byte(head+c.log), 0o644))
			o, w := logged(t, c.flag, 0)
			must(t, o.followFile(file))
			klog.InfoS("The first line")
			if line := w.take(); formatOf(strings.TrimSpace(line)) != c.want {
				t.Errorf("the first line is %s; want %s", line, c.want)
			}
		})
	}
	o, w := logged(t, asText, 0)
	must(t, o.followFile("")) // there is none
	klog.InfoS("The first line")
	if line := w.take(); formatOf(strings.TrimSpace(line)) != asText {
		t.Errorf("without a file, the first line is %s", line)
	}

	// And while it runs.
	must(t, os.WriteFile(file, []byte(head), 0o644))
	live, err := openConfig(file, nil, o)
	must(t, err)
	changed := make(chan struct{}, 10)
	defer live.follow(context.Background(), func() { changed <- struct{}{} })()
	must(t, os.WriteFile(file, []byte(head+"log: {format: json}\n"), 0o644))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the change is not in force")
	}
	w.take()
	klog.InfoS("After the change")
	if line := w.take(); formatOf(strings.TrimSpace(line)) != asJSON {
		t.Errorf("after the change, a line is %s", line)
	}
}
