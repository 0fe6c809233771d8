package pebble

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// The format of pebble's logs (package record of pebble): blocks of 32 KiB, filled
// with chunks that do not cross a block's end; what is left at the end of a block
// and too small for a header is zero. All numbers are little-endian.
//
//	checksum 4 | length 2 | kind 1 |                                  | payload    kinds 1 to 4
//	checksum 4 | length 2 | kind 1 | log number 4                     | payload    kinds 5 to 8
//	checksum 4 | length 2 | kind 1 | log number 4 | durable offset 8  | payload    kinds 9 to 12
//
// Of each four kinds the first is a whole record, the others are its first, middle
// and last parts. A log that was closed ends with an empty chunk of kind 5, without
// checksum, that bears the number of the next log.
const (
	logBlock       = 32 << 10
	chunkHeader    = 7
	chunkWithLog   = chunkHeader + 4
	chunkWithSync  = chunkWithLog + 8
	kindWhole      = 1
	kindFirst      = 2
	kindWholeInLog = 5
)

// chunk is one chunk of a log.
type chunk struct {
	size    int    // with its header
	begins  bool   // a record begins here
	end     bool   // the log ends here
	payload []byte // valid until the next block is read
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseChunk returns the chunk at the beginning of b, if there is a whole one that
// belongs to the log of this number and whose checksum holds.
func parseChunk(b []byte, log uint64) (chunk, bool) {
	if len(b) < chunkHeader {
		return chunk{}, false
	}
	checksum, length, kind := binary.LittleEndian.Uint32(b), int(binary.LittleEndian.Uint16(b[4:])), b[6]
	if kind < 1 || kind > 12 {
		return chunk{}, false
	}
	header := [...]int{chunkHeader, chunkWithLog, chunkWithSync}[(kind-1)/4]
	if len(b) < header+length {
		return chunk{}, false
	}
	if header > chunkHeader {
		number := binary.LittleEndian.Uint32(b[chunkHeader:])
		if checksum == 0 && length == 0 && kind == kindWholeInLog && number == uint32(log)+1 {
			return chunk{size: header, end: true}, true
		}
		if number != uint32(log) {
			return chunk{}, false
		}
	}
	sum := crc32.Checksum(b[6:header+length], castagnoli)
	if checksum != (sum>>15|sum<<17)+0xa282ead8 {
		return chunk{}, false
	}
	part := (kind-1)%4 + 1
	return chunk{size: header + length, begins: part == kindWhole || part == kindFirst, payload: b[header : header+length]}, true
}

// scanLog returns how many bytes of a log can be read without a break. If there is
// a visit, it is called with the beginning of each record, those behind a break
// included: what they say of the log before them is the proof that there was more.
func scanLog(r io.Reader, log uint64, visit func(payload []byte)) (readable uint64, err error) {
	var (
		block  [logBlock]byte
		before uint64 // the bytes of earlier blocks
		broken bool
	)
	for {
		n, err := io.ReadFull(r, block[:])
		if errors.Is(err, io.EOF) {
			return readable, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return readable, err
		}
		for at := 0; at < n; {
			c, ok := parseChunk(block[at:n], log)
			switch {
			case ok:
				if c.begins && visit != nil {
					visit(c.payload)
				}
				at += c.size
			case n == logBlock && isPadding(block[at:]):
				at = n
			case visit == nil:
				return readable, nil
			default:
				broken = true
				at++
			}
			if !broken {
				readable = before + uint64(at)
			}
			if c.end && !broken {
				return readable, nil
			}
		}
		before += uint64(n)
	}
}

// isPadding tells whether the rest of a block is too small for a chunk and zero.
func isPadding(rest []byte) bool {
	if len(rest) >= chunkWithSync {
		return false
	}
	for _, b := range rest {
		if b != 0 {
			return false
		}
	}
	return true
}
