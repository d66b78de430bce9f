package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Report is what Run found.
type Report struct {
	OK     bool    `json:"ok"` // no check failed
	Checks []Check `json:"checks"`
}

// WriteJSON writes the report as one indented object.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteTable writes a line for each check, and below it the mend of what is not as it should be.
func (r Report) WriteTable(w io.Writer) error {
	words := map[Status]string{OK: "ok", Warning: "warn", Failed: "FAIL", Skipped: "skip"}
	area, name := 0, 0
	for _, c := range r.Checks {
		area, name = max(area, len(c.Area)), max(name, utf8.RuneCountInString(c.Name))
	}
	var b strings.Builder
	count := map[Status]int{}
	for _, c := range r.Checks {
		count[c.Status]++
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("%-4s  %-*s  %-*s  %s", words[c.Status], area, c.Area, name, c.Name, oneLine(c.Detail)), " "))
		if c.Mend != "" && (c.Status == Failed || c.Status == Warning) {
			fmt.Fprintf(&b, "      %-*s  → %s\n", area, "", oneLine(c.Mend))
		}
	}
	fmt.Fprintf(&b, "\n%d checks: %d ok, %d warnings, %d failed, %d skipped\n", len(r.Checks), count[OK], count[Warning], count[Failed], count[Skipped])
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps a text of several lines, as joined errors are, in one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
