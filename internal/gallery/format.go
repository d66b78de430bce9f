package gallery

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// FormatDuration writes d with three digits: 412 µs, 3.24 ms, 231 ms, 2.31 s, 1 min 23 s. What is not above 0 is 0 ms.
func FormatDuration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < 999500*time.Nanosecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case d < 999500*time.Microsecond:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < 59950*time.Millisecond:
		return digits(d.Seconds()) + " s"
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// FormatBytes writes a size with three digits: 812 B, 21.3 kB, 1.42 MB.
func FormatBytes(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 999500:
		return digits(float64(n)/1e3) + " kB"
	default:
		return digits(float64(n)/1e6) + " MB"
	}
}

// digits writes x ≥ 0 with three significant digits, or more before the point, and no zeros at the end.
func digits(x float64) string {
	places := 0
	if x > 0 {
		places = max(0, 2-int(math.Floor(math.Log10(x))))
	}
	s := strconv.FormatFloat(x, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
