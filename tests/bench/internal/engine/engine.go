// Package engine compares what a driver could keep its records in: embedded
// stores, each in its best form, with records of the driver's size.
package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Store is what the driver needs of one.
type Store interface {
	// Put stores a record. Once it has returned, the record outlives a power cut.
	Put(key, value []byte) error
	// Fill stores records in bulk; they are durable once it has returned.
	Fill(n int, record func(i int) (key, value []byte)) error
	// Get reads a record, and fails if there is none.
	Get(key []byte) error
	// Scan reads all records and returns how many there are.
	Scan() (int, error)
	Close() error
}

// engines opens the stores by name, in a directory of their own.
var engines = map[string]func(dir string) (Store, error){
	"pebble":        openPebble,
	"bbolt":         openBbolt,
	"bbolt grouped": openGroupedBbolt,
	"append":        openAppend,
}

// Names lists the stores, the floor last: a file that is appended to.
func Names() []string { return []string{"pebble", "bbolt", "bbolt grouped", "append"} }

func open(name, dir string) (Store, error) {
	opener, ok := engines[name]
	if !ok {
		return nil, fmt.Errorf("no store %q: there are %q", name, Names())
	}
	return opener(dir)
}

// ValueBytes is the size of a volume's record.
const ValueBytes = 800

// key is that of record i: like the names that Kubernetes gives, in no order.
func key(i int) []byte {
	sum := sha256.Sum256([]byte(strconv.Itoa(i)))
	return []byte("volume/pvc-" + hex.EncodeToString(sum[:16]))
}

// value is record i: half of it is text that repeats, as JSON does, half does not.
func value(i int) []byte {
	v := make([]byte, ValueBytes)
	random := rand.New(rand.NewPCG(uint64(i), 0))
	for j := range v {
		v[j] = byte('a' + j%26)
		if j%2 == 0 {
			v[j] = byte(random.Uint32())
		}
	}
	return v
}
