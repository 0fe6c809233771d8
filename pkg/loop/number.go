package loop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// major is that of loop devices (the kernel's devices.txt).
const major = 7

// NumberOf returns the N of the loop device with these numbers; its minor number is
// another where the kernel was told to keep some for partitions (loop.max_part).
func NumberOf(maj, min uint32) (number int, ok bool) {
	if maj != major {
		return 0, false
	}
	at, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", maj, min))
	if err != nil {
		return 0, false
	}
	return NumberIn(filepath.Base(at))
}

// NumberIn returns the N of "loopN".
func NumberIn(name string) (number int, ok bool) {
	digits, ok := strings.CutPrefix(name, "loop")
	number, err := strconv.Atoi(digits)
	return number, ok && err == nil && name == "loop"+strconv.Itoa(number)
}
