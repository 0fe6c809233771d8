package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Default is a file to begin with: one pool, and every other key with what it means,
// as a comment.
func Default() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Configuration of hostpath-csi. A change takes effect at once, without a restart;
# before it is made, 'hostpath-csi config check FILE' tells whether it is right.
apiVersion: %s
kind: %s

pools:
`, APIVersion, Kind)
	indent := "- "
	for _, f := range poolFields() {
		explain(&b, "  ", f.what, f.takes)
		setting(&b, indent, f.name, f.example)
		indent = "  "
	}
	b.WriteString("\n# What holds for a parameter that a StorageClass leaves out.\ndefaults:\n")
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		p := parameters[name]
		explain(&b, "  ", p.what, p.takes)
		setting(&b, "  ", name, "# "+p.example())
	}
	b.WriteString("\nlog:\n")
	for _, f := range logFields() {
		explain(&b, "  ", f.what, f.takes)
		setting(&b, "  ", f.name, f.example)
	}
	return b.String()
}

// example is a value that a default may have.
func (p parameter) example() string {
	if p.without == "" || strings.Contains(p.without, " ") {
		return ""
	}
	return fmt.Sprintf("%q", p.without)
}

// setting writes a key with its example, behind a "#" if the example is.
func setting(b *strings.Builder, indent, name, example string) {
	if rest, ok := strings.CutPrefix(example, "# "); ok {
		fmt.Fprintf(b, "%s# %s:", indent, name)
		example = rest
	} else {
		fmt.Fprintf(b, "%s%s:", indent, name)
	}
	if example != "" {
		example = " " + example
	}
	b.WriteString(example + "\n")
}

// width is that of a comment's lines.
const width = 88

// explain writes a comment.
func explain(b *strings.Builder, indent, what, takes string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(sentence(what) + " It takes " + takes + ".") {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// sentence begins and ends a text as one.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
