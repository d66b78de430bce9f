package batch

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

func seed(n uint64) func(*queue.Job) { return func(j *queue.Job) { j.Seed = new(queue.Seed(n)) } }
func steps(n int) func(*queue.Job)   { return func(j *queue.Job) { j.NumInferenceSteps = &n } }
func scale(x float64) func(*queue.Job) {
	return func(j *queue.Job) { j.GuidanceScale = &x }
}

func TestYAMLTakes(t *testing.T) {
	full := func(j *queue.Job) {
		*j = queue.Job{
			ID: "label", Model: "sd-1.5", Prompt: new("a cat"), NegativePrompt: new("blur"), NumInferenceSteps: new(30),
			GuidanceScale: new(7.5), Seed: new(queue.Seed(1<<64 - 1)), Width: new(512), Height: new(768), Scheduler: new("euler_a"),
			Format: new("jpeg"), Quality: new(80), Deadline: new(time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)),
		}
	}
	tests := []struct {
		name, in string
		want     []Row
	}{
		{"nothing", "", nil},
		{"comments", "# nothing\n", nil},
		{"empty documents", "---\n---\n...\n---\n~\n", nil},
		{"rows", "- prompt: a cat\n  seed: 1\n- {prompt: \"a dog, \\\"Rex\\\"\"}\n", []Row{at(1, prompt("a cat"), seed(1)), at(3, prompt(`a dog, "Rex"`))}},
		{"every field", "id: label\nmodel: sd-1.5\nprompt: a cat\nnegative_prompt: blur\nnum_inference_steps: 30\nguidance_scale: 7.5\nseed: 18446744073709551615\n" +
			"width: 512\nheight: 768\nscheduler: euler_a\nformat: jpeg\nquality: 80\ndeadline: 2030-01-02T16:04:05+01:00\n", []Row{at(1, full)}},
		{"scalars as they are written", "- {prompt: 1_000, seed: '7'}\n- {prompt: yes, seed: null}\n- {prompt: !!str 0x10, seed: ~}\n", []Row{
			at(1, prompt("1_000"), seed(7)), at(2, prompt("yes")), at(3, prompt("0x10"))}},
		{"a prompt over lines", "- prompt: |-\n    a cat\n    on a mat\n- prompt: >-\n    a\n    dog\n", []Row{at(1, prompt("a cat\non a mat")), at(4, prompt("a dog"))}},
		{"aliases", "- &cat {prompt: &p a cat, seed: 1}\n- {prompt: *p}\n- *cat\n", []Row{at(1, prompt("a cat"), seed(1)), at(2, prompt("a cat")), at(3, prompt("a cat"), seed(1))}},
		{"a byte order mark and Windows lines", "\uFEFF- prompt: a cat\r\n- prompt: a dog\r\n", []Row{at(1, prompt("a cat")), at(2, prompt("a dog"))}},
		{"documents", "# one\n---\nprompt: a\n--- # two\n- prompt: b\n...\n%YAML 1.2\n---\nprompt: c\n...\nprompt: d\n", []Row{
			at(3, prompt("a")), at(5, prompt("b")), at(9, prompt("c")), at(11, prompt("d"))}},
		{"groups", "model: m\ngroups:\n- prompt: [cat, dog]\n  num_inference_steps: [10, 20]\n- seed: [1..2, 9]\n", []Row{
			at(1, model("m"), prompt("cat"), steps(10), seed(1)), at(1, model("m"), prompt("cat"), steps(10), seed(2)), at(1, model("m"), prompt("cat"), steps(10), seed(9)),
			at(1, model("m"), prompt("dog"), steps(20), seed(1)), at(1, model("m"), prompt("dog"), steps(20), seed(2)), at(1, model("m"), prompt("dog"), steps(20), seed(9))}},
		{"groups of one value and of aliases", "groups:\n- {seed: 1..2, guidance_scale: &g [1, 7.5]}\n- {prompt: a, num_inference_steps: 4}\n", []Row{
			at(1, seed(1), scale(1), prompt("a"), steps(4)), at(1, seed(2), scale(7.5), prompt("a"), steps(4))}},
		{"no groups", "prompt: a\ngroups: []\n", []Row{at(1, prompt("a"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, bad, last := collect(Read(YAMLFormat, "in", strings.NewReader(tt.in)))
			if len(bad) > 0 || last != nil {
				t.Errorf("errors %q, %v", bad, last)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func model(name string) func(*queue.Job) { return func(j *queue.Job) { j.Model = name } }

func TestYAMLSaysWhatIsWrongAndWhere(t *testing.T) {
	tests := []struct {
		name, in string
		rows     int // that are good
		bad      []string
		last     string
	}{
		{"values", "- seed: -1\n- prompt: a\n  width: 7\n  seed: 1\n- width: wide\n- prompt: b\n", 1, []string{
			`in:1: seed must be an integer from 0 to 2^64-1, is "-1"`, "in:3: width must be from 8 to 16384, is 7", `in:5: width must be an integer, is "wide"`}, ""},
		{"fields", "- promt: a\n- prompt: a\n  prompt: b\n- index: 1\n- <<: {seed: 1}\n- [seed]: 1\n", 0, []string{
			`in:1: "promt" is not a field that a row may set; these are: id, model, prompt`, "in:3: prompt stands more than once", `in:4: "index" is not a field`,
			"in:5: merge keys (<<) are not read", `in:6: "" is not a field`}, ""},
		{"kinds", "- a cat\n- [a]\n- prompt: [a, b]\n- prompt: {a: b}\n- prompt: !!binary aGk=\n- prompt: !cat x\n", 0, []string{
			`in:1: a row must be a mapping of a job's fields such as {prompt: a red apple}, is "a cat"`, "in:2: a row must be a mapping of a job's fields such as {prompt: a red apple}, is a list",
			"in:3: prompt takes one value here, is a list; lists of values stand in groups", "in:4: prompt takes one value here, is a mapping",
			`in:5: prompt has the tag "!!binary"; write the value itself`, `in:6: prompt has the tag "!cat"`}, ""},
		{"a document of another kind", "--- a cat\n--- 7\n---\nprompt: a\n", 1, []string{"in:1: must be a list of rows, or a mapping", "in:2: must be a list of rows, or a mapping"}, ""},
		{"groups that do not fit", "groups:\n- seed: 1..3\n  prompt: [a, b]\n- width: []\n- {}\n- [1]\n- height: [64, null]\n- guidance_scale: 1..2\n- quality: 9..1\n", 0, []string{
			"in:2: seed has 3 values and prompt has 2: values that go together must be as many", "in:4: width: no values", "in:5: a group must be a mapping",
			"in:6: a group must be a mapping of fields and their values such as seed: [1, 2], is a list", "in:7: height has a null among its values",
			`in:8: guidance_scale must be a number, is "1..2"`, `in:9: quality: range "9..1": ends below its beginning`}, ""},
		{"groups, twice", "seed: 1\ngroups:\n- {prompt: [a, b]}\n- {seed: 1..2}\n- {width: 64, prompt: c}\n---\ngroups: []\ngroups: []\n---\ngroups: 7\n", 0, []string{
			"in:4: seed is given values twice, beside the groups and in one of them", "in:5: prompt is given values twice", "in:8: groups stands more than once",
			"in:10: groups must be a list of mappings such as - seed: 1..8, is \"7\""}, ""},
		{"groups, a value", "groups:\n- prompt: [a, b]\n  seed:\n  - 1\n  - x\n", 0, []string{`in:5: seed must be an integer from 0 to 2^64-1, is "x"`}, ""},
		{"too many", "prompt: a\ngroups:\n- seed: 1..1000000\n- num_inference_steps: 1..1000\n- width: 64..100\n", 0, []string{"in:3: groups make more than 1000000000 jobs"}, ""},
		{"syntax", "- prompt: a\n---\n- prompt: b: c\n", 1, []string{"in:3: is not YAML: mapping values are not allowed in this context"}, ""},
		{"syntax, further down", "- prompt: a\n---\n\n- {prompt: a,\n- prompt: b\n", 1, []string{"in:5: is not YAML: "}, ""},
		{"syntax, a context", "a: 1\nb\nc: 2\n", 0, []string{"in:3: is not YAML: could not find expected ':' (while scanning a simple key that begins on line 2)"}, ""},
		{"an alias of nothing", "\n- *x\n", 0, []string{"in:2: is not YAML: unknown anchor 'x' referenced"}, ""},
		{"an alias of itself", "&a [*a]\n", 0, []string{"in:1: a row must be a mapping of a job's fields such as {prompt: a red apple}, is a list"}, ""},
		{"characters", "- prompt: a\n- prompt: \xff\n", 0, []string{"in:2: is not valid UTF-8"}, ""},
		{"a large document", "- prompt: a\n---\n" + strings.Repeat("- prompt: a long one, again and again\n", maxDocument/38+1), 1, nil, "the document is larger than 16 MiB by this line; write CSV or JSON lines, or several documents"},
		{"a large line", strings.Repeat("x", maxDocument+1), 0, nil, "in:1: the document is larger than 16 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good, bad, last := collect(Read(YAMLFormat, "in", strings.NewReader(tt.in)))
			if len(good) != tt.rows {
				t.Errorf("%d good rows, want %d", len(good), tt.rows)
			}
			if len(bad) != len(tt.bad) {
				t.Errorf("errors of rows:\n%s\nwant %d", strings.Join(bad, "\n"), len(tt.bad))
			}
			for i := range min(len(bad), len(tt.bad)) {
				if !strings.HasPrefix(bad[i], tt.bad[i]) {
					t.Errorf("error %q, want %q…", bad[i], tt.bad[i])
				}
			}
			if (last == nil) != (tt.last == "") || last != nil && !strings.Contains(last.Error(), tt.last) {
				t.Errorf("last error %v, want %q", last, tt.last)
			}
		})
	}
}

// TestYAMLStreams reads many documents, which together are far larger than what may be held.
func TestYAMLStreams(t *testing.T) {
	const documents, each = 20, 2000
	doc := "---\ngroups:\n- prompt:\n" + strings.Repeat("  - "+strings.Repeat("x", 1000)+"\n", each) + "- seed: 1..3\n"
	n, most, before := 0, int64(0), heap()
	for _, err := range Read(YAMLFormat, "in", &repeated{row: doc, left: documents}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%each == 0 {
			most = max(most, heap()-before)
		}
	}
	if n != documents*each*3 {
		t.Errorf("%d rows, want %d", n, documents*each*3)
	}
	if limit := int64(4 * len(doc)); most > limit {
		t.Errorf("%d MiB more on the heap while reading %d documents of %d KiB", most>>20, documents, len(doc)>>10)
	}
}

func TestYAMLStopsAtAnErrorOfTheReader(t *testing.T) {
	broken := errors.New("the disk is gone")
	good, bad, last := collect(Read(YAMLFormat, "in", io.MultiReader(strings.NewReader("- prompt: a\n---\n- prompt: b\n"), &failing{broken})))
	if len(good) != 1 || len(bad) != 0 || !errors.Is(last, broken) || !strings.Contains(last.Error(), "reading in after line 4") {
		t.Errorf("%d rows, errors %q, %v", len(good), bad, last)
	}
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{
		"", "---\n", "- prompt: a\n", "prompt: a\ngroups:\n- seed: 1..8\n- {width: [64, 128], height: [64, 128]}\n", "- &a {prompt: x}\n- *a\n", "&a [*a]",
		"%YAML 1.2\n---\na: |\n---\n...\n", "- prompt: !!binary x\n", "{[a]: b}", "- <<: {a: b}\n", "groups:\n- seed: 0..18446744073709551615\n", "a: \"\\ud83d\"", "\uFEFF# x\n- {}\n",
		"--- - a\n", "? a\n: b\n", "groups: &g\n- *g\n",
	} {
		f.Add(s)
	}
	breaks := regexp.MustCompile("[\n\r\u0085\u2028\u2029]") // YAML's
	f.Fuzz(func(t *testing.T, data string) {
		n, lines := 0, int64(len(breaks.FindAllString(data, -1))+1)
		for row, err := range Read(YAMLFormat, "in", strings.NewReader(data)) {
			var one *RowError
			switch {
			case errors.As(err, &one):
				if one.Source != "in" || one.Line < 1 || one.Line > lines || !strings.HasPrefix(err.Error(), fmt.Sprintf("in:%d: ", one.Line)) {
					t.Fatalf("error %q", err)
				}
			case err != nil:
			default:
				if row.Line < 1 || row.Source != "in" {
					t.Fatalf("row of %q:%d", row.Source, row.Line)
				}
				if err := check(row.Job); err != nil {
					t.Fatalf("line %d: a row was taken that the queue refuses: %v", row.Line, err)
				}
			}
			if n++; n > 1000 { // an input may multiply to any number
				return
			}
		}
	})
}
