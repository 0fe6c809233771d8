package config

import (
	"strconv"
	"strings"
	"time"
)

// longestRetention is a hundred years, in days.
const longestRetention = 36500

// parseRetention reads a number of days or hours.
func parseRetention(v value) (time.Duration, bool) {
	s, ok := text(v)
	if !ok {
		return 0, false
	}
	unit := time.Hour
	number, days := strings.CutSuffix(s, "d")
	if days {
		unit = 24 * time.Hour
	} else if number, ok = strings.CutSuffix(s, "h"); !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 32)
	d := time.Duration(n) * unit
	return d, err == nil && n > 0 && d <= longestRetention*24*time.Hour
}
