package manual

import (
	"fmt"
	"io"
	"strings"
)

// WriteMan writes the page for man(1), as man(7) says. Source names the release, as "stipple v0.1.0". No date is in it, so
// that the same release has the same page.
func (p Page) WriteMan(w io.Writer, source string) {
	m := manWriter{w}
	fmt.Fprintf(w, ".TH %s 1 \"\" %s \"stipple\"\n", quoted(strings.ToUpper(p.FileName())), quoted(source))
	m.section("NAME")
	fmt.Fprintf(w, "%s \\- %s\n", escaped(p.FileName()), escaped(lowerFirst(p.Short)))
	m.section("SYNOPSIS")
	m.literal(strings.Join(p.Synopsis, "\n"))
	m.blocks("DESCRIPTION", p.Text)
	if len(p.Commands) > 0 {
		m.section("COMMANDS")
		for _, c := range p.Commands {
			m.entry(c.Name, lowerFirst(c.Short))
		}
	}
	for _, g := range p.Groups {
		m.section(strings.ToUpper(strings.TrimSpace(g.Title + " flags")))
		for _, f := range g.Flags {
			term := f.heading()
			if f.Variable != "" {
				term += "  [$" + f.Variable + "]"
			}
			m.entry(term, f.meaning())
		}
	}
	m.blocks("JSON OUTPUT", p.JSON)
	m.blocks("ENVIRONMENT", p.environment())
	if len(p.Exits) > 0 {
		m.section("EXIT STATUS") // its name in man pages
		for _, e := range p.Exits {
			m.entry(fmt.Sprint(e.Code), e.Meaning)
		}
	}
	m.blocks("EXAMPLES", p.Examples)
	if len(p.Related) > 0 {
		m.section("SEE ALSO")
		for i, name := range p.Related {
			end := ",\n"
			if i == len(p.Related)-1 {
				end = "\n"
			}
			fmt.Fprintf(w, "%s(1)%s", escaped(strings.ReplaceAll(name, " ", "-")), end)
		}
	}
}

// FileName is the page's name as man(1) is given it: "enqueue-dlq-list".
func (p Page) FileName() string { return strings.ReplaceAll(p.Name, " ", "-") }

type manWriter struct{ w io.Writer }

func (m manWriter) section(title string) { fmt.Fprintf(m.w, ".SH %s\n", quoted(title)) }

func (m manWriter) blocks(title string, all []Block) {
	if len(all) == 0 {
		return
	}
	m.section(title)
	for _, b := range all {
		if b.Literal {
			m.literal(b.Text)
		} else {
			fmt.Fprintf(m.w, ".PP\n%s\n", escaped(b.Text))
		}
	}
}

// literal keeps lines as they are.
func (m manWriter) literal(text string) {
	fmt.Fprintf(m.w, ".PP\n.nf\n.RS 4\n%s\n.RE\n.fi\n", escaped(text))
}

func (m manWriter) entry(term, text string) {
	fmt.Fprintf(m.w, ".TP\n.B %s\n%s\n", quoted(term), escaped(text))
}

// quoted is text as one argument of a request.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"`
}

// escaped is text without what roff would take for its own: backslashes, hyphens that are minus signs, and lines that begin
// like a request. What is not ASCII is named by its number, which every roff understands.
func escaped(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	var ascii strings.Builder
	for _, r := range text {
		if r < 0x80 {
			ascii.WriteRune(r)
		} else {
			fmt.Fprintf(&ascii, `\[u%04X]`, r)
		}
	}
	text = ascii.String()
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
