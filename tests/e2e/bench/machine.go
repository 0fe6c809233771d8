package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// machine is the one that all nodes of the cluster of the tests share.
func machine() string {
	cpu := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); found != nil {
			cpu = string(bytes.TrimSpace(found[1]))
		}
	}
	return fmt.Sprintf("%d cores (%s)", runtime.NumCPU(), cpu)
}

// cores is how long all cores together worked, and did not, since the machine's start.
type cores struct{ busy, idle float64 }

func lookAtCores() (cores, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cores{}, err
	}
	return parseCores(string(stat))
}

// parseCores reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq,
// steal. What follows is in user already.
func parseCores(stat string) (c cores, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return c, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, field := range fields[1:9] {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return c, fmt.Errorf("/proc/stat begins with %q: %w", line, err)
		}
		if i == 3 || i == 4 {
			c.idle += v
		} else {
			c.busy += v
		}
	}
	return c, nil
}

// busySince is the share of the cores' time that was used since an earlier look.
func (c cores) busySince(before cores) float64 {
	busy, idle := c.busy-before.busy, c.idle-before.idle
	if busy+idle == 0 {
		return 0
	}
	return busy / (busy + idle)
}
