package ledger

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Widths of the bars, in characters.
const (
	minBar = 10
	maxBar = 60
)

// Characters of a bar.
const (
	ownBlock    = '█' // time of the picture's own
	sharedBlock = '░' // time shared with others, or spent waiting
	beyond      = "→" // the bar is longer than there is room
)

// Write writes the ledger as a table with a bar for each part, on lines of at most width characters where that leaves
// room for bars; 0 is 80. The bars are to the scale of the total, which the queue may exceed.
func (l Ledger) Write(w io.Writer, width int) {
	if width == 0 {
		width = 80
	}
	rows := [][]string{{"STAGE", "TIME", "OF TOTAL", "OWN"}}
	bars := []string{""}
	add := func(name string, t time.Duration, share, own, bar string) {
		rows = append(rows, []string{name, Milliseconds(t), share, own})
		bars = append(bars, bar)
	}
	const fixed = 12 + 2 + 12 + 2 + 8 + 2 + 12 + 2 // the other columns, as wide as they get for times below three hours
	bar := func(own, t time.Duration) string {
		return drawBar(own, t, l.Total, min(max(width-fixed, minBar), maxBar))
	}
	add(Queue, l.Queue, "", "", bar(0, l.Queue))
	for _, p := range l.Parts {
		add(p.Name, p.Time, Percent(l.Share(p.Time)), ownText(p), bar(p.Own, p.Time))
	}
	add(Rest, l.Rest, Percent(l.Share(l.Rest)), "", bar(0, max(l.Rest, 0)))
	add(Total, l.Total, Percent(l.Share(l.Total)), Milliseconds(l.Own), "")
	var columns [4]int
	for _, row := range rows {
		for i, cell := range row {
			columns[i] = max(columns[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		line := fmt.Sprintf("%-*s  %*s  %*s  %*s  %s", columns[0], row[0], columns[1], row[1], columns[2], row[2], columns[3], row[3], bars[n])
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	if !l.Balanced() {
		fmt.Fprintf(w, "the parts miss the total by %s, which is more than 2 %%\n", Percent(l.Share(l.Rest)))
	}
}

// ownText is a part's own time; a wait has none.
func ownText(p Part) string {
	if p.Name == Wait {
		return ""
	}
	return Milliseconds(p.Own)
}

// drawBar is a bar of t, of which own is drawn solid, where whole is width characters long.
func drawBar(own, t, whole time.Duration, width int) string {
	cells := func(d time.Duration) int { return int(math.Round(min(share(d, whole), 2) * float64(width))) }
	long := cells(t)
	if t > 0 && long == 0 && whole > 0 {
		return "▏" // too short to see, and there
	}
	solid := min(cells(own), long)
	if long > width {
		return strings.Repeat(string(sharedBlock), width-1) + beyond
	}
	return strings.Repeat(string(ownBlock), solid) + strings.Repeat(string(sharedBlock), long-solid)
}

// Milliseconds is a duration for people: in ms below ten seconds, else in s, to a precision that a table needs.
func Milliseconds(d time.Duration) string {
	if d.Abs() < 10*time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// Percent is a share for people.
func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
