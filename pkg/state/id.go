package state

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxIDBytes bounds every ID that this driver gives out (CSI: volume_id).
const MaxIDBytes = 128

// hashedPrefix marks an ID that is a hash of its name. No name that begins so is
// used as an ID itself.
const hashedPrefix = "hp-"

const maxPlainID = 63

// VolumeID returns the ID for the CSI name of a volume or snapshot. The name is
// its own ID where it is a lower-case RFC 1123 label or subdomain of at most 63
// bytes without the reserved prefix "hp-", so that PersistentVolume, record and
// directory carry one name. Any other name, however hostile, gives the prefix and
// 160 bits of its SHA-256; the record's Spec keeps the whole name, so that a
// collision is seen.
func VolumeID(name string) string {
	if isSubdomain(name) && !strings.HasPrefix(name, hashedPrefix) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hashedPrefix + hex.EncodeToString(sum[:20])
}

// ephemeralPrefix marks the ID of an ephemeral volume. What may make the record of such
// a volume may make none under any other name; the policy in deploy/base/node says so.
const ephemeralPrefix = "inline-"

// EphemeralID returns the ID of the record of an ephemeral volume: the volume_id that the
// kubelet gives it is longer than the name of an object may be.
func EphemeralID(volumeID string) string {
	sum := sha256.Sum256([]byte(volumeID))
	return ephemeralPrefix + hex.EncodeToString(sum[:20])
}

// ValidID tells whether id is one that VolumeID could have returned: safe as a
// file name, a label value and an object name. Anything else names no record.
func ValidID(id string) bool { return isSubdomain(id) }

// maxNodeID is the CSI specification's limit for a node ID.
const maxNodeID = 192

// ValidNodeID tells whether id can be a CSI node ID. The CO gives it, so that it need
// not be one that VolumeID could have returned; it is no path and has no control
// characters.
func ValidNodeID(id string) bool {
	return id != "" && len(id) <= maxNodeID && id != "." && id != ".." && utf8.ValidString(id) &&
		!strings.ContainsFunc(id, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
}

// isSubdomain tells whether s is a lower-case RFC 1123 subdomain of at most 63
// bytes: labels of letters, digits and inner hyphens, joined by single dots.
func isSubdomain(s string) bool {
	if s == "" || len(s) > maxPlainID {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
