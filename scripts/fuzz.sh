#!/usr/bin/env bash
# Runs every fuzz target of this module, one after the other:
#
#	scripts/fuzz.sh FUZZTIME    (Go's -fuzztime, such as 20000x)
#
# Better so many times than so long: at the end of a time, on a busy machine, Go
# before 1.27 may report its own deadline as a failure of the target (go.dev/issue/75804).
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=$1

packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./...)
targets=0
while read -r package dir; do
	names=$(grep -hoE '^func Fuzz[A-Za-z0-9_]*\(' "$dir"/*_test.go | sed 's/^func //; s/($//') || continue
	for name in $names; do
		echo "fuzz $package $name ($fuzztime)"
		go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime"
		targets=$((targets + 1))
	done
done <<<"$packages"

# A run that found nothing to do has tested nothing.
[ "$targets" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$targets fuzz targets, nothing found"
