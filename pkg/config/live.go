package config

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
)

// Live is a configuration file that may change while the driver runs. A file that is
// wrong changes nothing: the last good one stays in force, and what is wrong is told
// by Err, the log and the metrics.
//
//	Open ─► Current                             the file as it is at the start, or an error
//	Run  ─► file changes ─► apply(it), Current   each good file, in turn
//	     ─► Look         └► refused(why), Err    what is wrong with the file there is now
//
// What is wrong with a file need not be in the file: a symbolic link on the way to a pool, the
// labels of the node. So a file that was refused is looked at again from time to time.
type Live struct {
	file  string
	check func(*Configuration) error
	again chan struct{}
	// recheck is how long a file that was refused is left alone.
	recheck time.Duration

	mu         sync.Mutex
	contents   []byte // of the file that was looked at last; nil: it could not be read
	inForce    []byte // of that of current
	current    *Configuration
	err        error
	generation int
	loaded     time.Time
}

// Open reads the file for the first time. A configuration that check refuses is not
// taken, now or later.
func Open(file string, check func(*Configuration) error) (*Live, error) {
	l := &Live{file: file, check: check, again: make(chan struct{}, 1), recheck: recheck}
	if _, err := l.load(false); err != nil {
		return nil, err
	}
	return l, nil
}

// Current is the configuration in force.
func (l *Live) Current() *Configuration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// Err tells what is wrong with the file as it is now; nil: it is in force.
func (l *Live) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Look has the file looked at anew, and what is in force applied anew, though the file may be as
// it was: what both depend on has changed.
func (l *Live) Look() {
	select {
	case l.again <- struct{}{}:
	default: // it is about to be
	}
}

// load reads the file. It returns the configuration if it is to be applied: another one is in
// force now, or anew is true, or the one in force was refused before. Otherwise it returns what
// is wrong with the file, if that was not told before; and neither if nothing changed.
func (l *Live) load(anew bool) (*Configuration, error) {
	contents, err := os.ReadFile(l.file)
	l.mu.Lock()
	defer l.mu.Unlock()
	same := err == nil && l.contents != nil && bytes.Equal(contents, l.contents)
	if same && l.err == nil && !anew {
		return nil, nil
	}
	var c *Configuration
	if err == nil {
		l.contents = contents
		c, err = Parse(l.file, bytes.NewReader(contents))
	} else {
		l.contents = nil
	}
	if err == nil {
		err = l.check(c)
	}
	before := l.err
	if l.err = err; err != nil {
		if before != nil && before.Error() == err.Error() {
			return nil, nil
		}
		if l.current != nil {
			klog.ErrorS(err, "The configuration is wrong now; the last good one stays in force", "file", l.file, "generation", l.generation)
		}
		return nil, err
	}
	if l.current != nil && bytes.Equal(contents, l.inForce) {
		return l.current, nil
	}
	l.current, l.inForce, l.loaded = c, contents, time.Now()
	l.generation++
	klog.InfoS("Configuration is in force", "file", l.file, "generation", l.generation, "pools", len(c.Pools))
	return c, nil
}

// settle is how long the file is left alone after a change, which is seldom alone.
const settle = 100 * time.Millisecond

// recheck is also how long a pool that cannot be used is left alone.
const recheck = 5 * time.Second

// Run follows the file until ctx ends. It calls apply with each good configuration, and
// refused with what is wrong with each other one.
// It watches the directory, since a file is replaced more often than written: by an
// editor's rename, by the kubelet's exchange of the link ..data for a ConfigMap.
func (l *Live) Run(ctx context.Context, apply func(*Configuration), refused func(error)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	if err := w.Add(filepath.Dir(l.file)); err != nil {
		return err
	}
	settled := time.NewTimer(0) // it may have changed before it was watched
	defer settled.Stop()
	look := func(anew bool) {
		c, err := l.load(anew)
		if err != nil {
			refused(err)
		}
		if c == nil && anew { // what has changed is of matter for the last good one, too
			c = l.Current()
		}
		if c != nil {
			apply(c)
		}
		if l.Err() != nil {
			settled.Reset(l.recheck)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			settled.Reset(settle)
		case err := <-w.Errors:
			klog.ErrorS(err, "Following the configuration: events may be lost; the file is read", "file", l.file)
			settled.Reset(settle)
		case <-l.again:
			look(true)
		case <-settled.C:
			look(false)
		}
	}
}

var (
	descGeneration = prometheus.NewDesc("hostpath_csi_config_generation", "How many configurations have been in force since the start; 1: that of the start.", nil, nil)
	descSuccess    = prometheus.NewDesc("hostpath_csi_config_last_reload_successful", "1 if the configuration file as it is now is in force, 0 if it is wrong.", nil, nil)
	descLoaded     = prometheus.NewDesc("hostpath_csi_config_last_reload_success_timestamp_seconds", "When the configuration in force was read.", nil, nil)
)

// Describe implements prometheus.Collector.
func (l *Live) Describe(ch chan<- *prometheus.Desc) {
	ch <- descGeneration
	ch <- descSuccess
	ch <- descLoaded
}

// Collect implements prometheus.Collector.
func (l *Live) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	success := 1.0
	if l.err != nil {
		success = 0
	}
	for d, v := range map[*prometheus.Desc]float64{descGeneration: float64(l.generation), descSuccess: success, descLoaded: float64(l.loaded.UnixMilli()) / 1000} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
}
