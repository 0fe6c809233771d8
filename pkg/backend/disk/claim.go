package disk

import (
	"bytes"
	"os"
)

const (
	claimBytes = 4096
	claimText  = "hostpath-csi is formatting this device; nothing on it is of use. 7c0f4a52-9d0e-4a4e-9a51-1f0e4ed0a6b7\n"
)

// claim fills a block, repeated to its end: what remains of it after a part was
// overwritten is none.
func claim() []byte {
	b := bytes.Repeat([]byte(claimText), claimBytes/len(claimText)+1)
	return b[:claimBytes]
}

// claimPlace is where the claim lies: far from the beginning, the middle and the end,
// where mkfs writes, and from where btrfs has the copy of its superblock, 64 MiB. Should
// a mkfs write there nevertheless, then a crash while it runs leaves a device that the
// driver refuses, and nothing worse.
func claimPlace(deviceBytes int64) int64 {
	at := deviceBytes / 16 * 5 / unit * unit
	if at == 64<<20 {
		at += 8 << 20
	}
	return at + 512<<10
}

func readClaim(f *os.File, at int64) (bool, error) {
	b, err := readAt(f, at, claimBytes)
	return bytes.Equal(b, claim()), err
}

func writeClaim(f *os.File, at int64, b []byte) error {
	if _, err := f.WriteAt(b, at); err != nil {
		return err
	}
	return f.Sync()
}

func readAt(f *os.File, at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := f.ReadAt(b, at)
	return b, err
}
