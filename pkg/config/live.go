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
//	                     └► refused(why), Err    what is wrong with the file there is now
type Live struct {
	file  string
	check func(*Configuration) error

	mu         sync.Mutex
	contents   []byte // of the file that was looked at last
	current    *Configuration
	err        error
	generation int
	loaded     time.Time
}

// Open reads the file for the first time. A configuration that check refuses is not
// taken, now or later.
func Open(file string, check func(*Configuration) error) (*Live, error) {
	l := &Live{file: file, check: check}
	if _, err := l.load(); err != nil {
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

// load reads the file. It returns the configuration if another one is in force now, or
// what is wrong with a file that was not looked at before; neither if nothing changed.
func (l *Live) load() (*Configuration, error) {
	contents, err := os.ReadFile(l.file)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.current != nil && bytes.Equal(contents, l.contents) {
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
	if l.err = err; err != nil {
		if l.current != nil {
			klog.ErrorS(err, "The configuration was changed to one that is wrong; the last good one stays in force", "file", l.file, "generation", l.generation)
		}
		return nil, err
	}
	l.current, l.loaded = c, time.Now()
	l.generation++
	klog.InfoS("Configuration is in force", "file", l.file, "generation", l.generation, "pools", len(c.Pools))
	return c, nil
}

// settle is how long the file is left alone after a change, which is seldom alone.
const settle = 100 * time.Millisecond

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
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			settled.Reset(settle)
		case err := <-w.Errors:
			klog.ErrorS(err, "Following the configuration: events may be lost; the file is read", "file", l.file)
			settled.Reset(settle)
		case <-settled.C:
			if c, err := l.load(); err != nil {
				refused(err)
			} else if c != nil {
				apply(c)
			}
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
