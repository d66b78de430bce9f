package batch

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// axis is the values of an axis, as a job holds them.
func axis(t *testing.T, a Axis) []string {
	t.Helper()
	var all []string
	for i := range a.Len() {
		var j queue.Job
		if err := a.set(&j, i); err != nil {
			t.Fatal(err)
		}
		switch {
		case j.Seed != nil:
			all = append(all, fmt.Sprint(uint64(*j.Seed)))
		case j.NumInferenceSteps != nil:
			all = append(all, fmt.Sprint(*j.NumInferenceSteps))
		case j.GuidanceScale != nil:
			all = append(all, fmt.Sprint(*j.GuidanceScale))
		case j.Scheduler != nil:
			all = append(all, *j.Scheduler)
		case j.Prompt != nil:
			all = append(all, *j.Prompt)
		case j.Model != "":
			all = append(all, j.Model)
		case j.Width != nil:
			all = append(all, fmt.Sprint(*j.Width))
		}
	}
	return all
}

func TestParseAxis(t *testing.T) {
	tests := []struct {
		field, text string
		want        []string
	}{
		{"seed", "1..8", strings.Fields("1 2 3 4 5 6 7 8")},
		{"seed", "7", []string{"7"}},
		{"seed", "5..5", []string{"5"}},
		{"seed", "1, 3..5 ,2", strings.Fields("1 3 4 5 2")},
		{"seed", "18446744073709551613..18446744073709551615", strings.Fields("18446744073709551613 18446744073709551614 18446744073709551615")},
		{"seed", "0..18446744073709551615..9223372036854775808", strings.Fields("0 9223372036854775808")},
		{"num_inference_steps", "10..50..20", strings.Fields("10 30 50")},
		{"num_inference_steps", "10..49..20", strings.Fields("10 30")},
		{"guidance_scale", "1,7.5, 0", strings.Fields("1 7.5 0")},
		{"scheduler", "euler,ddim", strings.Fields("euler ddim")},
		{"model", "a,b", strings.Fields("a b")},
		{"prompt", "a, b..c", []string{"a, b..c"}},
	}
	for _, tt := range tests {
		a, err := ParseAxis(tt.field, tt.text)
		if err != nil {
			t.Errorf("%s %q: %v", tt.field, tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, axis(t, a)); diff != "" || a.Len() != int64(len(tt.want)) || a.Field() != tt.field {
			t.Errorf("%s %q (-want +got):\n%s", tt.field, tt.text, diff)
		}
	}
}

func TestParseAxisRefuses(t *testing.T) {
	tests := []struct{ field, text, want string }{
		{"seed", "", "empty value"},
		{"seed", "1,,2", "seed: an empty value in the list"},
		{"seed", "a", "seed must be an integer from 0 to 2^64-1"},
		{"seed", "-1..3", "a range is first..last"},
		{"seed", "1..", "a range is first..last"},
		{"seed", "1..2..3..4", "a range is first..last"},
		{"seed", "8..1", "ends below its beginning"},
		{"seed", "1..8..0", "the step must be 1 or more"},
		{"seed", "0..18446744073709551615", "more than 1000000000 values"},
		{"seed", "1..600000000,1..600000000", "more than 1000000000 values"},
		{"num_inference_steps", "0..3", "num_inference_steps must be from 1 to 1000, is 0"},
		{"num_inference_steps", "1..1001", "is 1001"},
		{"num_inference_steps", "1..3,9999", "is 9999"},
		{"guidance_scale", "1..3", `guidance_scale must be a number, is "1..3"`},
		{"scheduler", "euler a", "scheduler must be 1 to 64"},
		{"model", "a/b", "model must be"},
		{"format", "gif", "format must be one of png, jpeg, webp"},
		{"index", "1", `"index" is not a field that a row may set`},
	}
	for _, tt := range tests {
		if _, err := ParseAxis(tt.field, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: error %v, want %q", tt.field, tt.text, err, tt.want)
		}
	}
	if _, err := NewAxis("seed"); err == nil {
		t.Error("an axis without values was taken")
	}
}

func FuzzParseAxis(f *testing.F) {
	for _, s := range []string{"1..8", "1,2", "1..9..2", "..", "0..18446744073709551615..1", " 1 .. 2 ", ",", "9..1"} {
		f.Add("seed", s)
	}
	f.Add("guidance_scale", "1,2e1")
	f.Add("prompt", "")
	f.Fuzz(func(t *testing.T, field, text string) {
		a, err := ParseAxis(field, text)
		if err != nil {
			return
		}
		if a.Len() < 1 || a.Len() > MaxJobs {
			t.Fatalf("%d values", a.Len())
		}
		for _, i := range []int64{0, a.Len() / 2, a.Len() - 1} {
			var j queue.Job
			if err := a.set(&j, i); err != nil {
				t.Fatalf("value %d of %d: %v", i, a.Len(), err)
			}
			if err := check(j); err != nil {
				t.Fatalf("value %d of %d was taken and the queue refuses it: %v", i, a.Len(), err)
			}
		}
	})
}

func group(t *testing.T, axes ...string) Group {
	t.Helper()
	var all []Axis
	for _, s := range axes {
		field, text, _ := strings.Cut(s, "=")
		a, err := ParseAxis(field, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	g, err := Zip(all...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// describe is what tells the jobs of these tests apart.
func describe(j queue.Job) string {
	var steps string
	if j.NumInferenceSteps != nil {
		steps = fmt.Sprintf(" %d steps", *j.NumInferenceSteps)
	}
	return fmt.Sprintf("%s/%d %s %q seed %d%s", j.BatchID, j.Index, j.Model, queue.Or(j.Prompt, ""), queue.Or(j.Seed, 0), steps)
}

func TestPlanMultipliesRowsByGroups(t *testing.T) {
	p := Plan{
		Rows:     Args("cat", "dog"),
		Groups:   []Group{group(t, "seed=1..2"), group(t, "num_inference_steps=10,20", "guidance_scale=1,2")},
		Defaults: queue.Job{Model: "m"},
	}
	c, err := p.Count()
	if err != nil {
		t.Fatal(err)
	}
	if c.Rows != 2 || c.Jobs != 8 || !cmp.Equal(c.Models, []string{"m"}) || describe(c.Sample) != `/0 m "cat" seed 1 10 steps` {
		t.Errorf("census %+v", c)
	}
	var got []string
	for j, err := range p.Jobs("b") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Encode(); err != nil {
			t.Error(err)
		}
		if *j.GuidanceScale != float64(*j.NumInferenceSteps)/10 {
			t.Errorf("job %d: values that go together came apart", j.Index)
		}
		got = append(got, describe(j))
	}
	want := []string{
		`b/0 m "cat" seed 1 10 steps`, `b/1 m "cat" seed 1 20 steps`, `b/2 m "cat" seed 2 10 steps`, `b/3 m "cat" seed 2 20 steps`,
		`b/4 m "dog" seed 1 10 steps`, `b/5 m "dog" seed 1 20 steps`, `b/6 m "dog" seed 2 10 steps`, `b/7 m "dog" seed 2 20 steps`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func csvRows(text string) Rows {
	return Source(CSVFormat, "in.csv", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil })
}

func TestPlanRowsWinOverDefaults(t *testing.T) {
	p := Plan{
		Rows:     csvRows("prompt,model,seed\na,,\nb,n,5\n"),
		Defaults: queue.Job{Model: "m", Seed: new(queue.Seed(9)), NumInferenceSteps: new(4)},
	}
	var got []string
	for j, err := range p.Jobs("b") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, describe(j))
	}
	if diff := cmp.Diff([]string{`b/0 m "a" seed 9 4 steps`, `b/1 n "b" seed 5 4 steps`}, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if c, err := p.Count(); err != nil || !cmp.Equal(c.Models, []string{"m", "n"}) {
		t.Errorf("models %q, %v", c.Models, err)
	}
}

func TestPlanAdd(t *testing.T) {
	p := Plan{Rows: Args("a")}
	if err := p.Add(group(t, "seed=7")[0], group(t, "num_inference_steps=1,2")[0], group(t, "model=m")[0]); err != nil {
		t.Fatal(err)
	}
	var got []string
	for j, err := range p.Jobs("b") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, describe(j))
	}
	if diff := cmp.Diff([]string{`b/0 m "a" seed 7 1 steps`, `b/1 m "a" seed 7 2 steps`}, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	for _, again := range []string{"seed=8", "seed=1..2", "num_inference_steps=3", "num_inference_steps=3,4"} {
		q := p
		if err := q.Add(group(t, again)[0]); err == nil || !strings.Contains(err.Error(), "is given values twice") {
			t.Errorf("%s again: error %v", again, err)
		}
	}
}

func TestPlanModels(t *testing.T) {
	for _, tt := range []struct {
		p    Plan
		want []string
	}{
		{Plan{Rows: Args("a")}, []string{""}},
		{Plan{Rows: Args("a"), Groups: []Group{group(t, "model=m,n")}}, []string{"m", "n"}},
		{Plan{Rows: csvRows("prompt,model\na,\nb,n\n")}, []string{"", "n"}},
		{Plan{Rows: Args()}, nil},
	} {
		c, err := tt.p.Count()
		if err != nil || !cmp.Equal(c.Models, tt.want) {
			t.Errorf("models %q, %v; want %q", c.Models, err, tt.want)
		}
	}
	var many strings.Builder
	many.WriteString("model\n")
	for i := range maxModels + 1 {
		fmt.Fprintf(&many, "m%d\n", i)
	}
	names := make([]string, maxModels+1)
	for i := range names {
		names[i] = fmt.Sprintf("m%d", i)
	}
	if _, err := (Plan{Rows: Args("a"), Groups: []Group{group(t, "model="+strings.Join(names, ","))}}).Count(); err == nil || !strings.Contains(err.Error(), "a batch may name at most 100 models") {
		t.Errorf("error %v", err)
	}
	if _, err := (Plan{Rows: csvRows(many.String())}).Count(); err == nil || !strings.Contains(err.Error(), "in.csv:102: a batch may name at most 100 models") {
		t.Errorf("error %v", err)
	}
}

func TestPlanWork(t *testing.T) {
	for name, tt := range map[string]struct {
		p    Plan
		want []Work
		text int64
	}{
		"nothing said": {Plan{Rows: Args("ab", "abcd")}, []Work{{"", 0, 2}}, 6},
		"defaults and values": {Plan{Rows: Args("ab"), Groups: []Group{group(t, "seed=1..10")}, Defaults: queue.Job{Model: "m", NumInferenceSteps: new(7), NegativePrompt: new("xyz")}},
			[]Work{{"m", 7, 10}}, 50},
		"rows": {Plan{Rows: csvRows("prompt,model,num_inference_steps\na,,\nb,n,\nc,n,30\nd,,30\n"), Groups: []Group{group(t, "seed=1..2")}, Defaults: queue.Job{Model: "m"}},
			[]Work{{"m", 0, 2}, {"m", 30, 2}, {"n", 0, 2}, {"n", 30, 2}}, 8},
		"groups": {Plan{Rows: Args("a", "b"), Groups: []Group{group(t, "model=m,n", "num_inference_steps=10,20"), group(t, "seed=1..5")}},
			[]Work{{"m", 10, 10}, {"n", 20, 10}}, 20},
		"groups that multiply": {Plan{Rows: Args("a"), Groups: []Group{group(t, "model=m,n"), group(t, "num_inference_steps=10,20,10")}},
			[]Work{{"m", 10, 2}, {"m", 20, 1}, {"n", 10, 2}, {"n", 20, 1}}, 6},
		"rows and groups": {Plan{Rows: csvRows("prompt,model\na,\nb,n\n"), Groups: []Group{group(t, "num_inference_steps=10,20")}, Defaults: queue.Job{Model: "m"}},
			[]Work{{"m", 10, 1}, {"m", 20, 1}, {"n", 10, 1}, {"n", 20, 1}}, 4},
	} {
		c, err := tt.p.Count()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, c.Work); diff != "" || c.Text != tt.text {
			t.Errorf("%s: text %d, want %d; work (-want +got):\n%s", name, c.Text, tt.text, diff)
		}
		all := int64(0)
		for _, w := range c.Work {
			all += w.Jobs
		}
		if all != c.Jobs {
			t.Errorf("%s: work of %d jobs, of %d", name, all, c.Jobs)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	seeds := group(t, "seed=1..8")
	huge := group(t, "num_inference_steps=1..1000")
	tests := []struct {
		name string
		p    Plan
		want string
	}{
		{"a field of a row and of a group", Plan{Rows: csvRows("prompt,seed\na,\nb,1\n"), Groups: []Group{seeds}}, "in.csv:3: sets seed, which takes 8 values"},
		{"a field of two groups", Plan{Rows: Args("a"), Groups: []Group{seeds, seeds}}, "seed is given values twice"},
		{"a field of a group and a default", Plan{Rows: Args("a"), Groups: []Group{seeds}, Defaults: queue.Job{Seed: new(queue.Seed(1))}}, "seed is given values twice"},
		{"a bad default", Plan{Rows: Args("a"), Defaults: queue.Job{Width: new(7)}}, "width must be from 8"},
		{"too many", Plan{Rows: Args("a", "b"), Groups: []Group{group(t, "seed=1..1000000"), huge}}, "more than 1000000000 jobs"},
		{"a broken file", Plan{Rows: csvRows("nothing\n")}, "in.csv:1: column 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.p.Count(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Count: error %v, want %q", err, tt.want)
			}
			if tt.name == "too many" {
				return
			}
			var last error
			for _, err := range tt.p.Jobs("b") {
				last = err
			}
			if last == nil || !strings.Contains(last.Error(), tt.want) {
				t.Errorf("Jobs: error %v, want %q", last, tt.want)
			}
		})
	}
}

func TestCountReportsTheFirstBadRows(t *testing.T) {
	_, err := Plan{Rows: csvRows("seed\n" + strings.Repeat("1\nx\n", 13))}.Count()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxReported+1 || lines[0] != `in.csv:3: seed must be an integer from 0 to 2^64-1, is "x"` || lines[maxReported] != "and 3 more bad rows" {
		t.Errorf("error:\n%v", err)
	}
	var one *RowError
	if !errors.As(err, &one) || one.Line != 3 {
		t.Errorf("no *RowError with the line: %v", err)
	}
}

func TestCountDoesNotMaterialise(t *testing.T) {
	p := Plan{Rows: Args("a"), Groups: []Group{group(t, "seed=1..1000000"), group(t, "num_inference_steps=1..1000")}}
	if c, err := p.Count(); err != nil || c.Jobs != 1_000_000_000 {
		t.Errorf("%d jobs, %v", c.Jobs, err)
	}
}

func TestZip(t *testing.T) {
	g, err := ParseSizes("512x512, 768x1024")
	if err != nil || len(g) != 2 || g[0].Len() != 2 {
		t.Fatalf("%v, %v", g, err)
	}
	for text, want := range map[string]string{"512": "a size is", "512x": "height must be an integer", "7x8": "width must be from 8", "": "a size is"} {
		if _, err := ParseSizes(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	seeds, steps := group(t, "seed=1..2")[0], group(t, "num_inference_steps=1..3")[0]
	if _, err := Zip(seeds, steps); err == nil || !strings.Contains(err.Error(), "seed has 2 values and num_inference_steps has 3") {
		t.Errorf("error %v", err)
	}
	if _, err := Zip(seeds, seeds); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error %v", err)
	}
	if _, err := Zip(); err == nil {
		t.Error("a group of nothing was taken")
	}
}

func BenchmarkJobs(b *testing.B) {
	seeds, err := ParseAxis("seed", "1..1000")
	if err != nil {
		b.Fatal(err)
	}
	p := Plan{Rows: Args("a red apple"), Groups: []Group{{seeds}}, Defaults: queue.Job{Model: "m"}}
	b.ReportAllocs()
	for range b.N {
		for _, err := range p.Jobs("b") {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/job")
}
