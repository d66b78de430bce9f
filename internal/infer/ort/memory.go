package ort

import (
	"math"
	"os"
	"strconv"
	"strings"
)

// memoryLimit returns the bytes of memory this process may use: the container's limit, or the machine's memory, or a lot where neither can be read.
func memoryLimit() int64 {
	limit := int64(math.MaxInt64)
	for _, read := range []func() (int64, bool){
		func() (int64, bool) { return readNumber("/sys/fs/cgroup/memory.max") },
		func() (int64, bool) { return readNumber("/sys/fs/cgroup/memory/memory.limit_in_bytes") },
		func() (int64, bool) { return readMemTotal("/proc/meminfo") },
	} {
		if n, ok := read(); ok {
			limit = min(limit, n)
		}
	}
	return limit
}

func readNumber(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is no limit
	return n, err == nil && n > 0
}

func readMemTotal(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err == nil
		}
	}
	return 0, false
}
