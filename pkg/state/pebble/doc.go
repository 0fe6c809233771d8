// Package pebble is the embedded state.Store: one process, one directory, and
// github.com/cockroachdb/pebble below.
//
// The directory holds
//
//	lock        flock'ed by the process that has the store open; holds its pid
//	store.json  the sentinel: UUID and schema of the store, so that a database
//	            that went missing is noticed and never started empty
//	db/         the database
//	db.new/     a database being created; it is renamed to db when it is whole
//
// # What a read may say
//
// Pebble shows a commit to readers before the commit is on the disk. A caller
// that reads "Ready" and answers its client must not be contradicted by a power
// cut, so nothing is read here that could still be lost and was not meant to be:
// Get waits for the commit of its record, List for the commits in flight.
//
// # What is checked
//
// Every value carries a checksum over its key and itself. Pebble checksums every
// block of its tables. Of its two logs it takes an unreadable record for the end
// of the log, as a crash leaves one there; so does damage, and what was
// acknowledged would be gone without a word. Each commit therefore seals what was
// durable before it (see seal.go), and Open compares.
//
// # When the disk fails
//
// A write to a log that fails is fatal: the process logs it and exits. After a
// failed fsync nobody can say what of the data is on the disk, and only reading
// the log back, at the next start, tells. Anything else would be a guess.
package pebble
