package upload

import (
	"fmt"
	"strconv"
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
	return fmt.Sprintf("%s%d-%s", CheckpointPrefix(prefix, batch), index, spec16)
}

// BatchPrefix is what the keys of a batch's images begin with, for List.
func BatchPrefix(prefix, batch string) string { return prefix + batch + "/" }

// CheckpointPrefix is what the keys of a batch's checkpoints begin with, for List; without a batch, those of all.
func CheckpointPrefix(prefix, batch string) string {
	prefix += ".checkpoints/"
	if batch == "" {
		return prefix
	}
	return BatchPrefix(prefix, batch)
}

// ObjectKey is what a key says.
type ObjectKey struct {
	Batch  string
	Index  int64
	Spec16 string // 16 hex digits
	Ext    string // without the dot; "" for a checkpoint
}

// ParseKey reads an image's key. ok is false for a key that Key does not make.
func ParseKey(prefix, key string) (k ObjectKey, ok bool) {
	k, ok = parseKey(prefix, key)
	return k, ok && k.Ext != "" && Key(prefix, k.Batch, k.Index, k.Spec16, k.Ext) == key
}

// ParseCheckpointKey reads a checkpoint's key. ok is false for a key that CheckpointKey does not make.
func ParseCheckpointKey(prefix, key string) (k ObjectKey, ok bool) {
	k, ok = parseKey(CheckpointPrefix(prefix, ""), key)
	return k, ok && CheckpointKey(prefix, k.Batch, k.Index, k.Spec16) == key
}

// parseKey reads <prefix><batch>/<index>-<spec16>[.<ext>].
func parseKey(prefix, key string) (k ObjectKey, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return k, false
	}
	batch, name, ok := strings.Cut(rest, "/")
	if !ok || batch == "" || strings.HasPrefix(batch, ".") { // a batch's name has no dot: see queue.Job
		return k, false
	}
	name, ext, _ := strings.Cut(name, ".") // without an extension it is a checkpoint's
	index, spec16, ok := strings.Cut(name, "-")
	n, err := strconv.ParseInt(index, 10, 64)
	return ObjectKey{Batch: batch, Index: n, Spec16: spec16, Ext: ext}, ok && err == nil && n >= 0 && isHex(spec16, 16)
}

// isHex reports whether s is n lower-case hex digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
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
