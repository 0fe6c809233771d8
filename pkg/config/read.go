package config

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	labelop "k8s.io/apimachinery/pkg/selection"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// document reads the file as a whole.
func (d *decoder) document(v value) {
	var doc document
	mapping(d, v, documentFields(), &doc)
	if len(d.problems) > 0 {
		return
	}
	for name, given := range map[string]string{"apiVersion: " + APIVersion: doc.apiVersion, "kind: " + Kind: doc.kind} {
		if given == "" {
			d.complain(v, "'%s' is missing", name)
		}
	}
}

func (d *decoder) pools(v value) {
	if len(v.Content) > maxPools {
		d.complain(v, "there are %d pools; it takes at most %d", len(v.Content), maxPools)
		return
	}
	d.items(v, func(at value) {
		p := newPool(at.key)
		mapping(d, at, poolFields(), &p)
		d.c.Pools = append(d.c.Pools, p)
	})
}

func newPool(key string) Pool {
	return Pool{Nodes: labels.Everything(), Overcommit: 1, Enforcement: state.EnforcementPreferred, key: key}
}

// maxPools bounds the pools of a file, each of which is compared with each.
const maxPools = 1000

// defaults reads parameters, as a StorageClass has them.
func (d *decoder) defaults(v value) {
	d.pairs(v, func(name string, at value) {
		s, ok := text(at)
		if !ok {
			d.complain(at, "got %s; it takes a parameter's value", shown(at))
		} else if err := d.c.Defaults.set(name, s); err != nil {
			d.complain(at, "%s", err)
		}
	})
}

// labels reads label names and values.
func (d *decoder) labels(v value) map[string]string {
	all := map[string]string{}
	d.pairs(v, func(name string, at value) {
		s, ok := text(at)
		if !ok {
			d.complain(at, "got %s; it takes a label's value", shown(at))
			return
		}
		if _, err := labels.NewRequirement(name, labelop.Equals, []string{s}); err != nil {
			d.complain(at, "%s", oneLine(err))
			return
		}
		all[name] = s
	})
	return all
}

// selection is a label selector that is being read.
type selection struct{ requirements []labels.Requirement }

func (d *decoder) selector(v value) labels.Selector {
	var s selection
	mapping(d, v, selectorFields(), &s)
	return labels.NewSelector().Add(s.requirements...)
}

func (s *selection) matchLabels(d *decoder, v value) {
	for name, value := range d.labels(v) {
		if r, err := labels.NewRequirement(name, labelop.Equals, []string{value}); err == nil { // labels has checked it
			s.requirements = append(s.requirements, *r)
		}
	}
}

// expression is one of matchExpressions.
type expression struct {
	key      string
	operator labelop.Operator
	values   []string
}

// operators are those of a label selector in Kubernetes.
var operators = map[string]labelop.Operator{
	"In": labelop.In, "NotIn": labelop.NotIn, "Exists": labelop.Exists, "DoesNotExist": labelop.DoesNotExist,
}

func (s *selection) matchExpressions(d *decoder, v value) {
	d.items(v, func(at value) {
		var e expression
		before := len(d.problems)
		mapping(d, at, expressionFields(), &e)
		if len(d.problems) > before {
			return
		}
		r, err := labels.NewRequirement(e.key, e.operator, e.values)
		if err != nil {
			d.complain(at, "%s", oneLine(err))
			return
		}
		s.requirements = append(s.requirements, *r)
	})
}

// oneLine is the text of an error that may have several lines.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// validPath tells whether path may be a pool's.
func validPath(path string) bool {
	return filepath.IsAbs(path) && filepath.Clean(path) == path && path != "/" && !strings.ContainsRune(path, 0)
}

// within tells whether path is dir or beneath it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// size is a number of bytes as Kubernetes writes it. An exponent is not taken:
// working out 1e1000000000 takes resource.ParseQuantity forever.
var size = regexp.MustCompile(`^[0-9]{1,19}(\.[0-9]{1,9})?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$`)

// parseSize reads a whole number of bytes, at least one.
func parseSize(s string) (bytes int64, ok bool) {
	if !size.MatchString(s) {
		return 0, false
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return 0, false
	}
	bytes = q.Value()
	return bytes, bytes > 0 && q.Cmp(*resource.NewQuantity(bytes, resource.BinarySI)) == 0
}

func parseReserve(v value) (r Reserve, ok bool) {
	s, ok := text(v)
	if !ok {
		return r, false
	}
	share, isShare := strings.CutSuffix(s, "%")
	if !isShare {
		if s == "0" {
			return r, true
		}
		r.Bytes, ok = parseSize(s)
		return r, ok
	}
	n, err := strconv.ParseFloat(share, 64)
	r.Percent = n
	return r, err == nil && n >= 0 && n <= 100
}
