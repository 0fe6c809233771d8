package pebble

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
)

// writeLog writes records as pebble writes its manifests.
func writeLog(t *testing.T, records ...[]byte) []byte {
	t.Helper()
	var log bytes.Buffer
	w := record.NewWriter(&log)
	for _, r := range records {
		if _, err := w.WriteRecord(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return log.Bytes()
}

func scan(t *testing.T, log []byte) (readable uint64, records int) {
	t.Helper()
	readable, err := scanLog(bytes.NewReader(log), 0, func([]byte) { records++ })
	if err != nil {
		t.Fatal(err)
	}
	return readable, records
}

func TestALogOfAnySizesIsReadToItsEnd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var records [][]byte
		for range random.IntN(40) {
			size := random.IntN(3000)
			if random.IntN(10) == 0 {
				size = random.IntN(100_000)
			}
			records = append(records, bytes.Repeat([]byte{byte(size)}, size))
		}
		log := writeLog(t, records...)
		readable, found := scan(t, log)
		if readable != uint64(len(log)) || found != len(records) {
			t.Fatalf("read %d of %d bytes and %d of %d records", readable, len(log), found, len(records))
		}
	}
}

func TestRecordsBehindABreakAreFound(t *testing.T) {
	log := writeLog(t, []byte("first"), []byte("second"), []byte("third"))
	const first = chunkHeader + uint64(len("first"))
	log[first+chunkHeader] ^= 1
	readable, found := scan(t, log)
	if readable != first || found != 2 {
		t.Errorf("read %d bytes and %d records, want %d and 2", readable, found, first)
	}
}

func TestASealIsReadBackWholeOrNotAtAll(t *testing.T) {
	want := seal{Log: extent{File: 12, Size: 1 << 40}, Manifest: extent{File: 1 << 20, Size: 7}}
	data := want.encode()
	payload := append(make([]byte, batchrepr.HeaderLen), 3 /* log data */, byte(len(data)))
	payload = append(payload, data...)
	if got, ok := sealOf(append(payload, "the rest"...)); !ok || got != want {
		t.Errorf("got %+v, %v", got, ok)
	}
	for cut := range payload {
		if got, ok := sealOf(payload[:cut]); ok {
			t.Errorf("%d of %d bytes give %+v", cut, len(payload), got)
		}
	}
}

func FuzzScanLog(f *testing.F) {
	f.Add([]byte{}, uint64(0))
	f.Add(bytes.Repeat([]byte{0}, logBlock+5), uint64(1))
	f.Add([]byte{0, 0, 0, 0, 0, 0, kindWholeInLog, 8, 0, 0, 0}, uint64(7))
	f.Fuzz(func(t *testing.T, log []byte, number uint64) {
		readable, err := scanLog(bytes.NewReader(log), number, func(payload []byte) { sealOf(payload) })
		if err != nil || readable > uint64(len(log)) {
			t.Errorf("read %d of %d bytes, error %v", readable, len(log), err)
		}
	})
}
