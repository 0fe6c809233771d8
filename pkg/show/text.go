package show

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// none stands for what there is nothing of.
const none = "-"

// longest is how long a name may be that is shown without quotes.
const longest = 200

// Name shows a name or a path: as it is where that is plain, and quoted otherwise.
func Name(s string) string {
	plain := len(s) <= longest && utf8.ValidString(s) && !strings.HasPrefix(s, `"`) && s != none
	for _, r := range s {
		plain = plain && unicode.IsPrint(r) && !unicode.IsSpace(r) // the space is printable
	}
	switch {
	case s == "":
		return none
	case plain:
		return s
	}
	return state.Quote(s)
}

// Line shows a sentence, whatever it quotes, in one line.
func Line(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n', r == '\t':
			b.WriteByte(' ')
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// Size shows a number of bytes; none of a negative one.
func Size(bytes int64) string {
	if bytes < 0 {
		return none
	}
	return humanize.IBytes(uint64(bytes))
}

func percent(share float64) string { return strconv.Itoa(int(share*100+0.5)) + "%" }

// age shows for how long a thing has been there.
func age(since, now time.Time) string {
	if since.IsZero() {
		return none
	}
	return duration.HumanDuration(max(0, now.Sub(since)))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Count tells how many there are of something that has a regular plural.
func Count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
