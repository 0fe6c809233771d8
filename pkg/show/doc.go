// Package show is how the command lines of the machine and of the cluster tell what
// there is: the same rows, as a table, or as JSON and YAML for programs.
//
// What is shown comes from disks and from an API server, and may be hostile: whatever is
// not plain printable text is quoted, so that no name moves the cursor of a terminal or
// looks like a line of its own.
package show
