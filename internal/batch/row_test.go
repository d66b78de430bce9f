package batch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// collect ranges over rows and returns them, the errors of rows and the one that ended it.
func collect(rows Rows) (good []Row, bad []string, last error) {
	for row, err := range rows {
		var one *RowError
		switch {
		case err == nil:
			good = append(good, row)
		case errors.As(err, &one):
			bad = append(bad, err.Error())
		default:
			last = err
		}
	}
	return good, bad, last
}

func at(line int64, set ...func(*queue.Job)) Row {
	r := Row{Source: "in", Line: line}
	for _, f := range set {
		f(&r.Job)
	}
	return r
}

func prompt(s string) func(*queue.Job) { return func(j *queue.Job) { j.Prompt = &s } }

func TestReadTakes(t *testing.T) {
	full := func(j *queue.Job) {
		*j = queue.Job{
			ID: "label", Model: "sd-1.5", Prompt: new("a cat"), NegativePrompt: new("blur"), NumInferenceSteps: new(30),
			GuidanceScale: new(7.5), Seed: new(queue.Seed(1<<64 - 1)), Width: new(512), Height: new(768), Scheduler: new("euler_a"),
			Format: new("jpeg"), Quality: new(80), Deadline: new(time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)),
		}
	}
	tests := []struct {
		name   string
		format Format
		in     string
		want   []Row
	}{
		{"text", TextFormat, "a cat\n\n  \t\na dog\r\n# not a comment\nno end", []Row{at(1, prompt("a cat")), at(4, prompt("a dog")), at(5, prompt("# not a comment")), at(6, prompt("no end"))}},
		{"text with a byte order mark", TextFormat, "\uFEFFa cat\n", []Row{at(1, prompt("a cat"))}},
		{"text, spaces kept", TextFormat, " a  cat ", []Row{at(1, prompt(" a  cat "))}},
		{"text, nothing", TextFormat, "\n\n", nil},
		{"csv", CSVFormat, "prompt,seed\na cat,1\n\"a dog, \"\"Rex\"\"\",\n", []Row{
			at(2, prompt("a cat"), func(j *queue.Job) { j.Seed = new(queue.Seed(1)) }), at(3, prompt(`a dog, "Rex"`))}},
		{"csv, every field", CSVFormat, "id,model,prompt,negative_prompt,num_inference_steps,guidance_scale,seed,width,height,scheduler,format,quality,deadline\n" +
			"label,sd-1.5,a cat,blur,30,7.5,18446744073709551615,512,768,euler_a,jpeg,80,2030-01-02T16:04:05+01:00\n", []Row{at(2, full)}},
		{"csv, spaces and a byte order mark", CSVFormat, "\uFEFF prompt , seed \r\na cat, 7\r\n\r\n", []Row{
			at(2, prompt("a cat"), func(j *queue.Job) { j.Seed = new(queue.Seed(7)) })}},
		{"csv, a prompt over lines", CSVFormat, "prompt\n\"a cat\non a mat\"\na dog\n", []Row{at(2, prompt("a cat\non a mat")), at(4, prompt("a dog"))}},
		{"csv, only a header", CSVFormat, "prompt\n", nil},
		{"csv, empty", CSVFormat, "", nil},
		{"jsonl", JSONLFormat, "{\"prompt\":\"a cat\"}\n\n{}\r\n { \"prompt\" : \"a dog\", \"seed\" : \"7\" } \n", []Row{
			at(1, prompt("a cat")), at(3), at(4, prompt("a dog"), func(j *queue.Job) { j.Seed = new(queue.Seed(7)) })}},
		{"jsonl, every field", JSONLFormat, `{"version":1,"id":"label","model":"sd-1.5","prompt":"a cat","negative_prompt":"blur","num_inference_steps":30,"guidance_scale":7.5,` +
			`"seed":18446744073709551615,"width":512,"height":768,"scheduler":"euler_a","format":"jpeg","quality":80,"deadline":"2030-01-02T15:04:05Z"}`, []Row{at(1, full)}},
		{"jsonl, a label that looks like an id", JSONLFormat, `{"id":"b/0"}`, []Row{at(1, func(j *queue.Job) { j.ID = "b/0" })}},
		{"jsonl, nulls", JSONLFormat, `{"prompt":null,"seed":null}`, []Row{at(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, bad, last := collect(Read(tt.format, "in", strings.NewReader(tt.in)))
			if len(bad) > 0 || last != nil {
				t.Errorf("errors %q, %v", bad, last)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadSaysWhatIsWrongAndWhere(t *testing.T) {
	long := strings.Repeat("x", queue.MaxPrompt+1)
	tests := []struct {
		name   string
		format Format
		in     string
		rows   int      // that are good
		bad    []string // errors of rows
		last   string   // of the end
	}{
		{"text", TextFormat, "a\n" + long + "\nb\n\xff\n", 2, []string{"in:2: prompt must be at most 16384 bytes, is 16385", "in:4: prompt is not valid UTF-8"}, ""},
		{"text, no lines", TextFormat, "a\n" + strings.Repeat("x", maxRow+1), 1, nil, "in:2: a line of more than 262144 bytes"},
		{"csv, unknown column", CSVFormat, "prompt,steps\n", 0, nil, `in:1: column 2 of the header: "steps" is not a field that a row may set; these are: id, model, prompt, negative_prompt, num_inference_steps,`},
		{"csv, no header", CSVFormat, "a cat\n", 0, nil, `in:1: column 1 of the header: "a cat" is not a field`},
		{"csv, column twice", CSVFormat, "seed,seed\n", 0, nil, "in:1: column 2 of the header: seed stands more than once"},
		{"csv, identity", CSVFormat, "prompt,index\n", 0, nil, `"index" is not a field`},
		{"csv, cells", CSVFormat, "prompt,seed\na,b,c\nx,1\ny\n", 1, []string{"in:2: has 3 cells, the header has 2; a comma inside a cell needs quotes", "in:4: has 1 cells"}, ""},
		{"csv, values", CSVFormat, "prompt,seed,width\na,-1,\nb,1,seven\n\"c\nc\",1,7\nd,1.0,\ne,1,8\n", 1, []string{
			"in:2: seed must be an integer from 0 to 2^64-1, is \"-1\"", `in:3: width must be an integer, is "seven"`, "in:4: width must be from 8 to 16384, is 7", "in:6: seed must be an integer"}, ""},
		{"csv, numbers", CSVFormat, "guidance_scale\nNaN\nInf\n51\n", 0, []string{"in:2: guidance_scale must be a number", "in:3: guidance_scale must be a number", "in:4: guidance_scale must be from 0 to 50, is 51"}, ""},
		{"csv, deadline", CSVFormat, "deadline\ntomorrow\n", 0, []string{"in:2: deadline must be a time as in RFC 3339"}, ""},
		{"csv, quotes", CSVFormat, "prompt\na\nb \"c\" d\n", 1, nil, `in:3: bare " in non-quoted-field (in the record that begins on line 3)`},
		{"csv, open quote", CSVFormat, "prompt\na\n\"b\nc\n", 1, nil, `extraneous or missing " in quoted-field (in the record that begins on line 3)`},
		{"csv, open quote of a large file", CSVFormat, "prompt\n\"" + strings.Repeat("row\n", maxRow/2), 0, nil, "is a quote missing?"},
		{"jsonl", JSONLFormat, "{\"prompt\":\"a\"}\n[]\n{\"prompt\":7}\n{\"Prompt\":\"a\"}\n{\"prompt\":\"a\",\"prompt\":\"b\"}\n{\"num_inference_steps\":0}\n{\"prompt\":\"a\"\n{\"prompt\":\"z\"}\n", 2, []string{
			"in:2: must be a JSON object", "in:3: prompt must be a string", "in:4: Prompt is not a field of a job of version 1", "in:5: prompt stands more than once",
			"in:6: num_inference_steps must be from 1 to 1000, is 0", "in:7: is not JSON: it ends too early"}, ""},
		{"jsonl, the command's fields", JSONLFormat, `{"index":1}` + "\n" + `{"batch_id":"b"}` + "\n" + `{"retry":0}` + "\n" + `{"trace_context":{}}` + "\n" + `{"version":2}`, 0, []string{
			"in:1: index is set when the job is enqueued", "in:2: batch_id is set", "in:3: retry is set", "in:4: trace_context is set", "in:5: job version 2: the job is of a newer version"}, ""},
		{"jsonl, characters", JSONLFormat, "{\"prompt\":\"\xff\"}\n{\"prompt\":\"\\ud83d\"}\n{\"prompt\":\"a\"} x\n{,}", 0, []string{
			"in:1: is not valid UTF-8", "in:2: prompt holds half of a surrogate pair", "in:3: body must be one JSON object, has more behind it", "in:4: is not JSON"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good, bad, last := collect(Read(tt.format, "in", strings.NewReader(tt.in)))
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

func TestReadStopsAtAnErrorOfTheReader(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, format := range []Format{TextFormat, CSVFormat, JSONLFormat} {
		in := map[Format]string{TextFormat: "a\n", CSVFormat: "prompt\na\n", JSONLFormat: "{}\n"}[format]
		good, bad, last := collect(Read(format, "in", io.MultiReader(strings.NewReader(in), &failing{broken})))
		if len(good) != 1 || len(bad) != 0 || !errors.Is(last, broken) || !strings.Contains(last.Error(), "reading in") {
			t.Errorf("%s: %d rows, errors %q, %v", format, len(good), bad, last)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestArgs(t *testing.T) {
	good, bad, last := collect(Args("a cat", "", "two\nlines", "\xff"))
	want := []Row{{Source: "argument", Line: 1}, {Source: "argument", Line: 2}, {Source: "argument", Line: 3}}
	for i, p := range []string{"a cat", "", "two\nlines"} {
		want[i].Job.Prompt = &p
	}
	if diff := cmp.Diff(want, good); diff != "" || last != nil {
		t.Errorf("rows (-want +got):\n%s%v", diff, last)
	}
	if diff := cmp.Diff([]string{"argument:4: prompt is not valid UTF-8"}, bad); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestSourceReadsAgain(t *testing.T) {
	opened, closed := 0, 0
	rows := Source(TextFormat, "in", func() (io.ReadCloser, error) {
		opened++
		return closer{strings.NewReader("a\nb\n"), &closed}, nil
	})
	for range 2 {
		if good, _, last := collect(rows); len(good) != 2 || last != nil {
			t.Errorf("%d rows, %v", len(good), last)
		}
	}
	for range rows {
		break
	}
	if opened != 3 || closed != 3 {
		t.Errorf("opened %d times, closed %d", opened, closed)
	}
	_, _, last := collect(Source(TextFormat, "in", func() (io.ReadCloser, error) { return nil, os.ErrNotExist }))
	if !errors.Is(last, os.ErrNotExist) {
		t.Errorf("error %v", last)
	}
}

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error { *c.closed++; return nil }

// TestReadersHoldOneRow reads inputs that are far larger than what may be held, and looks at the heap on the way.
func TestReadersHoldOneRow(t *testing.T) {
	const rows = 10_000
	row := map[Format]string{
		TextFormat:  strings.Repeat("x", 2000) + "\n",
		CSVFormat:   strings.Repeat("x", 2000) + ",1\n",
		JSONLFormat: `{"prompt":"` + strings.Repeat("x", 2000) + "\"}\n",
	}
	for _, format := range []Format{TextFormat, CSVFormat, JSONLFormat} {
		t.Run(string(format), func(t *testing.T) {
			n, most, before := 0, int64(0), heap()
			head := ""
			if format == CSVFormat {
				head = "prompt,seed\n"
			}
			in := io.MultiReader(strings.NewReader(head), &repeated{row: row[format], left: rows})
			for _, err := range Read(format, "in", in) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n%(rows/8) == 0 {
					most = max(most, heap()-before)
				}
			}
			if n != rows {
				t.Errorf("%d rows, want %d", n, rows)
			}
			if most > 1<<20 {
				t.Errorf("%d MiB more on the heap while reading %d MiB", most>>20, len(row[format])*rows>>20)
			}
		})
	}
}

// heap is the memory in use, in bytes. Brokers that other tests have stopped keep some for a while: only differences tell something.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first made free of pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// repeated is a reader of one row, many times.
type repeated struct {
	row  string
	rest string
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.rest = r.row
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fuzzRead checks that no input panics, that every good row makes a job that the queue takes, that lines only
// grow, and that a row errs in itself alone.
func fuzzRead(t *testing.T, format Format, data string) {
	t.Helper()
	before, ended := int64(0), false
	for row, err := range Read(format, "in", strings.NewReader(data)) {
		if ended {
			t.Fatal("something comes behind the last error")
		}
		var one *RowError
		switch {
		case errors.As(err, &one):
			if one.Source != "in" || one.Line < 1 || !strings.HasPrefix(err.Error(), fmt.Sprintf("in:%d: ", one.Line)) {
				t.Fatalf("error %q", err)
			}
		case err != nil:
			ended = true
		default:
			if row.Line <= before || row.Source != "in" {
				t.Fatalf("row of %q:%d behind line %d", row.Source, row.Line, before)
			}
			before = row.Line
			if err := check(row.Job); err != nil {
				t.Fatalf("line %d: a row was taken that the queue refuses: %v", row.Line, err)
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a\nb\n", "\uFEFFa\r\n\n", "\xff", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) { fuzzRead(t, TextFormat, data) })
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"", "prompt\na\n", "prompt,seed\n\"a\nb\",1\n", "\uFEFFprompt\r\na", "prompt\n\"", "guidance_scale\n1e9\n", "seed\n-1\n",
		"deadline\n0001-01-01T00:00:00+23:59\n", "model,format,scheduler,quality\na b,webp,,0\n", ",\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) { fuzzRead(t, CSVFormat, data) })
}

func FuzzJSONL(f *testing.F) {
	for _, s := range []string{
		"", "{}", "{ }", `{"prompt":"a"}`, `{"model":null}`, `{"model":"m","id":"b/0"}`, `{"index":1}`, `{"a":[[[`, `{}{}`, `{"prompt":"\ud800"}`, "{\n}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) { fuzzRead(t, JSONLFormat, data) })
}
