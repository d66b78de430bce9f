package queue

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testJob is a job with every field set.
func testJob() Job {
	return Job{
		Version: Version, ID: "a label", BatchID: "demo", Index: 7, Retry: 2, Model: "sd-1.5",
		Prompt: new("a €5 café\n<b>\u2028😀\x01"), NegativePrompt: new(""),
		NumInferenceSteps: new(20), GuidanceScale: new(7.5), Seed: new(Seed(math.MaxUint64)),
		Width: new(768), Height: new(512), Scheduler: new("euler_a_karras"), Format: new("jpeg"), Quality: new(85),
		Deadline:     new(time.Date(2026, 1, 2, 15, 4, 5, 678_000_000, time.UTC)),
		TraceContext: &TraceContext{Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=1"},
	}
}

func TestEncodeWritesTheContract(t *testing.T) {
	tests := []struct {
		name string
		job  Job
		want string
	}{
		{"least", Job{BatchID: "b", Model: "m"}, `{"version":1,"batch_id":"b","index":0,"model":"m"}`},
		{"default label is left out", Job{ID: "b/3", BatchID: "b", Index: 3, Model: "m"}, `{"version":1,"batch_id":"b","index":3,"model":"m"}`},
		{"all", testJob(), `{"version":1,"id":"a label","batch_id":"demo","index":7,"retry":2,"model":"sd-1.5",` +
			`"prompt":"a €5 café\n<b>\u2028😀\u0001","negative_prompt":"","num_inference_steps":20,"guidance_scale":7.5,` +
			`"seed":"18446744073709551615","width":768,"height":512,"scheduler":"euler_a_karras","format":"jpeg","quality":85,` +
			`"deadline":"2026-01-02T15:04:05.678Z","trace_context":{` +
			`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=1"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.job.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("Encode (-want +got):\n%s", diff)
			}
			if _, err := Decode(got, tt.job.Identity()); err != nil {
				t.Errorf("Decode of it: %v", err)
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeRefuses(t *testing.T) {
	tests := []struct {
		field  string
		change func(*Job)
	}{
		{"batch_id", func(j *Job) { j.BatchID = "a.b" }},
		{"batch_id", func(j *Job) { j.BatchID = strings.Repeat("b", 65) }},
		{"index", func(j *Job) { j.Index = -1 }},
		{"retry", func(j *Job) { j.Retry = -1 }},
		{"id", func(j *Job) { j.ID = "two\nlines" }},
		{"id", func(j *Job) { j.ID = strings.Repeat("i", 257) }},
		{"model", func(j *Job) { j.Model = "" }},
		{"model", func(j *Job) { j.Model = ".hidden" }},
		{"prompt", func(j *Job) { j.Prompt = new(strings.Repeat("p", MaxPrompt+1)) }},
		{"negative_prompt", func(j *Job) { j.NegativePrompt = new("\xff") }},
		{"num_inference_steps", func(j *Job) { j.NumInferenceSteps = new(0) }},
		{"guidance_scale", func(j *Job) { j.GuidanceScale = new(math.NaN()) }},
		{"guidance_scale", func(j *Job) { j.GuidanceScale = new(math.Inf(1)) }},
		{"width", func(j *Job) { j.Width = new(MaxSize + 1) }},
		{"scheduler", func(j *Job) { j.Scheduler = new("") }},
		{"format", func(j *Job) { j.Format = new("PNG") }},
		{"quality", func(j *Job) { j.Quality = new(101) }},
		{"deadline", func(j *Job) { j.Deadline = new(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) }},
		{"trace_context.tracestate", func(j *Job) { j.TraceContext.Tracestate = "a=1\r\nX: y" }},
	}
	for _, tt := range tests {
		j := testJob()
		tt.change(&j)
		_, err := j.Encode()
		wantInvalid(t, err, tt.field, "")
		if _, err := j.Spec16(); err == nil {
			t.Errorf("Spec16 of a job with a bad %s succeeded", tt.field)
		}
	}
}

// wantInvalid checks that err is an InvalidError of field whose reason holds reason.
func wantInvalid(t *testing.T, err error, field, reason string) {
	t.Helper()
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("error %v is no InvalidError, want one of field %s", err, field)
		return
	}
	if invalid.Field != field || !strings.Contains(invalid.Reason, reason) {
		t.Errorf("error %q, want field %q and %q", err, field, reason)
	}
	if ErrorType(err) != TypeInvalidJob {
		t.Errorf("ErrorType(%v) = %q", err, ErrorType(err))
	}
}

func TestSeedOrDefault(t *testing.T) {
	// printf 'demo/7' | sha256sum starts with b84f8155.
	if got := (Job{BatchID: "demo", Index: 7, Retry: 3}).SeedOrDefault(); got != 3092168725 {
		t.Errorf("default seed = %d, want 3092168725", got)
	}
	if got := (Job{BatchID: "demo", Index: 7, Seed: new(Seed(0))}).SeedOrDefault(); got != 0 {
		t.Errorf("seed 0 = %d", got)
	}
}

func TestSeedJSON(t *testing.T) {
	for _, tt := range []struct{ in, out string }{
		{"0", "0"}, {`"0"`, "0"}, {`"42"`, "42"},
		{"9007199254740992", "9007199254740992"},
		{"9007199254740993", `"9007199254740993"`},
		{"18446744073709551615", `"18446744073709551615"`},
	} {
		var s Seed
		if err := json.Unmarshal([]byte(tt.in), &s); err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if out, err := json.Marshal(s); err != nil || string(out) != tt.out {
			t.Errorf("%s comes back as %s, %v; want %s", tt.in, out, err, tt.out)
		}
	}
	for _, in := range []string{"-1", "1.0", "1e3", `"007"`, `""`, `" 1"`, "18446744073709551616", "true", `"1`, `"0x1"`} {
		var s Seed
		if err := s.UnmarshalJSON([]byte(in)); err == nil {
			t.Errorf("%s was read as %d", in, s)
		}
	}
}

// The vectors were computed outside this package: printf '%s' '<canonical>' | sha256sum | cut -c1-16.
func TestSpec16(t *testing.T) {
	tests := []struct {
		name            string
		job             Job
		canonical, want string
	}{
		{"every field", testJob(), `{"format":"jpeg","guidance_scale":7.5,"height":512,"model":"sd-1.5","negative_prompt":"",` +
			`"num_inference_steps":20,"prompt":"a €5 café\n<b>` + "\u2028" + `😀\u0001","quality":85,"scheduler":"euler_a_karras",` +
			`"seed":"18446744073709551615","width":768}`, "954ff402820dd465"},
		{"default seed", Job{BatchID: "demo", Index: 7, Model: "tiny-emoji", Prompt: new("a cat")},
			`{"model":"tiny-emoji","prompt":"a cat","seed":"3092168725"}`, "ceed4b0e331700d5"},
		{"small number", Job{BatchID: "b", Model: "m", Seed: new(Seed(0)), GuidanceScale: new(1e-7)},
			`{"guidance_scale":1e-7,"model":"m","seed":"0"}`, "72ec27185dde84e0"},
		{"negative zero", Job{BatchID: "b", Model: "m", Seed: new(Seed(0)), GuidanceScale: new(math.Copysign(0, -1))},
			`{"guidance_scale":0,"model":"m","seed":"0"}`, "868bf6783bc6f8cd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			canonical, err := tt.job.CanonicalSpec()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.canonical, string(canonical)); diff != "" {
				t.Errorf("canonical JSON (-want +got):\n%s", diff)
			}
			if got, err := tt.job.Spec16(); err != nil || got != tt.want {
				t.Errorf("Spec16 = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestSpec16IgnoresWhatIsNotThePicture(t *testing.T) {
	want, err := testJob().Spec16()
	if err != nil {
		t.Fatal(err)
	}
	j := testJob()
	j.ID, j.BatchID, j.Index, j.Retry, j.Deadline, j.TraceContext = "", "other", 1, 0, nil, nil
	if got, err := j.Spec16(); err != nil || got != want {
		t.Errorf("Spec16 = %q, %v; want %q", got, err, want)
	}
	j.Quality = nil
	if got, err := j.Spec16(); err != nil || got == want {
		t.Errorf("Spec16 without quality = %q, %v, as with it", got, err)
	}
}
