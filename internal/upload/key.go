package upload

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxPrefix leaves room in S3's 1024 bytes for the rest of a key.
const maxPrefix = 512

// Key is where a job's image lies: <prefix><batch>/<index, eight digits>-<spec16>.<ext>. It is a function of the job
// alone, so that every attempt means the same object and enqueue can compute it before the job has run.
func Key(prefix, batch string, index int64, spec16, ext string) string {
	return fmt.Sprintf("%s%s/%08d-%s.%s", prefix, batch, index, spec16, ext)
}

// CheckpointKey is where the state of a preempted job lies: <prefix>.checkpoints/<batch>/<index>-<spec16>.
func CheckpointKey(prefix, batch string, index int64, spec16 string) string {
	return fmt.Sprintf("%s.checkpoints/%s/%d-%s", prefix, batch, index, spec16)
}

// ValidatePrefix reports what is wrong with S3_PREFIX. It is empty, or ends in "/" so that the prefix of one tenant
// is never the beginning of another's; it is valid UTF-8 of at most 512 bytes, without control characters, a leading
// "/" or empty and dotted parts, which stores and file systems read in different ways.
func ValidatePrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	bad := func(rule string) error { return fmt.Errorf("the prefix %q %s", prefix, rule) }
	switch {
	case !strings.HasSuffix(prefix, "/"):
		return bad(`must end in "/", as in "` + prefix + `/"`)
	case len(prefix) > maxPrefix:
		return bad(fmt.Sprintf("is longer than %d bytes", maxPrefix))
	case !utf8.ValidString(prefix):
		return bad("is not UTF-8")
	case strings.ContainsFunc(prefix, func(r rune) bool { return r < 0x20 || r == 0x7F }):
		return bad("has control characters")
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(prefix, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return bad(fmt.Sprintf("has the part %q", part))
		}
	}
	return nil
}
