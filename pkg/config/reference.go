package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Reference is the part of docs/configuration.md that tells every key, in Markdown.
func Reference() string {
	var b strings.Builder
	section(&b, "The file", documentFields())
	section(&b, "`pools[]`", poolFields())
	section(&b, "`pools[].nodes`", selectorFields())
	section(&b, "`pools[].image`", imageFields())
	section(&b, "`pools[].device`", deviceFields())
	section(&b, "`pools[].projectIDs`", idFields())
	section(&b, "`log`", logFields())
	b.WriteString("### `defaults`, and the parameters of a StorageClass\n\n| key | takes | default | what |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		p := parameters[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, p.takes, p.without, p.what)
	}
	return b.String()
}

func section[T any](b *strings.Builder, title string, fields []field[T]) {
	fmt.Fprintf(b, "### %s\n\n| key | takes | default | change takes effect | what |\n|---|---|---|---|---|\n", title)
	for _, f := range fields {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.name, f.takes, f.without, f.live, f.what)
	}
	b.WriteString("\n")
}
