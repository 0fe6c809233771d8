package disk

import (
	"bytes"
	"fmt"
	"os"
)

// A mark tells what a device carries. The list is for good errors: what is not known
// here is found all the same, for a blank device is all zeros at its beginning and end,
// where everything that lies on disks has its signature.
type mark struct {
	what  string
	at    int64 // from the end, if it is negative
	bytes string
}

var marks = []mark{
	{"xfs", 0, "XFSB"},
	{"btrfs", 0x10040, "_BHRfS_M"},
	{"ext2, ext3 or ext4", 0x438, "\x53\xef"},
	{"LUKS", 0, "LUKS\xba\xbe"},
	{"LVM", 512, "LABELONE"},
	{"LVM", 0, "LABELONE"},
	{"RAID (md)", 0, "\xfc\x4e\x2b\xa9"},
	{"RAID (md)", 4096, "\xfc\x4e\x2b\xa9"},
	{"RAID (md)", -8192, "\xfc\x4e\x2b\xa9"},
	{"RAID (md)", -65536, "\xfc\x4e\x2b\xa9"},
	{"swap", 4086, "SWAPSPACE2"},
	{"bcache", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
	{"BlueStore (Ceph)", 0, "bluestore block device"},
	{"f2fs", 1024, "\x10\x20\xf5\xf2"},
	{"squashfs", 0, "hsqs"},
	{"ISO 9660", 0x8001, "CD001"},
	{"NTFS", 3, "NTFS    "},
	{"exFAT", 3, "EXFAT   "},
	{"FAT", 54, "FAT1"},
	{"FAT", 82, "FAT32"},
	{"a partition table (GPT)", 512, "EFI PART"},
	{"a partition table (GPT)", -512, "EFI PART"},
	{"a partition table (MBR)", 510, "\x55\xaa"},
}

// edge is how much of a device is looked at, at either end.
const edge = 1 << 20

// signature tells what a device carries: one of kinds, or words for people; "" if
// it is blank.
func signature(f *os.File) (string, error) {
	size, err := (&device{file: f}).bytes()
	if err != nil {
		return "", err
	}
	if size < 2*edge {
		return fmt.Sprintf("only %d bytes", size), nil
	}
	first, err := readAt(f, 0, edge)
	if err != nil {
		return "", err
	}
	last, err := readAt(f, size-edge, edge)
	if err != nil {
		return "", err
	}
	return identify(first, last), nil
}

// identify tells what the first and last bytes of a device mean.
func identify(first, last []byte) string {
	for _, m := range marks {
		part, at := first, m.at
		if at < 0 {
			part, at = last, at+int64(len(last))
		}
		if bytes.HasPrefix(part[at:], []byte(m.bytes)) {
			return m.what
		}
	}
	if i := firstByte(first); i >= 0 {
		return fmt.Sprintf("something unknown (a byte at %d that is not zero)", i)
	}
	if i := firstByte(last); i >= 0 {
		return fmt.Sprintf("something unknown (a byte at %d from its end that is not zero)", len(last)-i)
	}
	return ""
}

// firstByte is where the first byte is that is not zero; -1 if there is none.
func firstByte(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return -1
}
