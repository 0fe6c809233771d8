// Package prom reads what a process tells Prometheus of itself. What happened between two
// times is the difference of what it told then.
package prom

import (
	"fmt"
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics is all that a process told at one time.
type Metrics map[string]*dto.MetricFamily

// Labels are those that a sample has to have, among others.
type Labels map[string]string

// Parse reads the text format.
func Parse(r io.Reader) (Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return families, nil
}

// Value adds up the samples of a counter or gauge that have the labels; 0: there is none.
func (m Metrics) Value(name string, labels Labels) (sum float64) {
	for _, sample := range m.samples(name, labels) {
		sum += sample.GetCounter().GetValue() + sample.GetGauge().GetValue() + sample.GetUntyped().GetValue()
	}
	return sum
}

// Histogram adds up the samples of a histogram that have the labels; it is empty if there
// is none.
func (m Metrics) Histogram(name string, labels Labels) Histogram {
	h := Histogram{upTo: map[float64]float64{}}
	for _, sample := range m.samples(name, labels) {
		told := sample.GetHistogram()
		h.Count += float64(told.GetSampleCount())
		h.Sum += told.GetSampleSum()
		for _, b := range told.GetBucket() {
			h.upTo[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	return h
}

func (m Metrics) samples(name string, labels Labels) (found []*dto.Metric) {
	for _, sample := range m[name].GetMetric() {
		if labels.in(sample.GetLabel()) {
			found = append(found, sample)
		}
	}
	return found
}

func (l Labels) in(pairs []*dto.LabelPair) bool {
	has := 0
	for _, pair := range pairs {
		if value, ok := l[pair.GetName()]; ok && value == pair.GetValue() {
			has++
		}
	}
	return has == len(l)
}

// Label is the value of a label of the first sample of a metric; "": there is none.
func (m Metrics) Label(name, label string) string {
	for _, sample := range m[name].GetMetric() {
		for _, pair := range sample.GetLabel() {
			if pair.GetName() == label {
				return pair.GetValue()
			}
		}
	}
	return ""
}
