package gallery

import (
	"testing"
	"time"
)

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 412: "0.412 µs", 412 * time.Microsecond: "412 µs", 3241 * time.Microsecond: "3.24 ms",
		50 * time.Millisecond: "50 ms", 999600 * time.Microsecond: "1 s", 2310 * time.Millisecond: "2.31 s",
		23 * time.Second: "23 s", 59960 * time.Millisecond: "1 min 0 s", 83 * time.Second: "1 min 23 s", 2 * time.Hour: "120 min 0 s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 21310: "21.3 kB", 999600: "1 MB", 1420000: "1.42 MB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %q, want %q", n, got, want)
		}
	}
}
