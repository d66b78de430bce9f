package queue

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testResult() Result {
	return Result{
		Version: 1, ID: "demo/7", BatchID: "demo", Index: 7, Retry: 1, Status: Succeeded,
		TraceID: "0af7651916cd43dd8448eb211c80319c",
		Image: &Image{
			Bucket: "images", Key: "demo/00000007-954ff402820dd465.png", ContentType: "image/png",
			Width: 128, Height: 96, Size: 12345, SHA256: "aa", PixelsSHA256: "bb",
		},
		Seed: new(Seed(42)), Model: "tiny-emoji", ModelDigest: "sha256:cc", Attempt: 2, Worker: "w1", PromptTruncated: true,
		Timings: &Timings{
			Queue: Millis(1500 * time.Microsecond), Wait: Millis(2), TextEncode: Millis(time.Second),
			Denoise: Millis(123456789), Upload: Millis(499 * time.Nanosecond), Total: Millis(2 * time.Second),
		},
		RowsMean: 10.0 / 3,
	}
}

func TestResultJSON(t *testing.T) {
	got, err := testResult().Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"id":"demo/7","batch_id":"demo","index":7,"retry":1,"status":"succeeded",` +
		`"trace_id":"0af7651916cd43dd8448eb211c80319c","image":{"bucket":"images","key":"demo/00000007-954ff402820dd465.png",` +
		`"content_type":"image/png","width":128,"height":96,"size":12345,"sha256":"aa","pixels_sha256":"bb"},"seed":42,` +
		`"model":"tiny-emoji","model_digest":"sha256:cc","attempt":2,"worker":"w1","prompt_truncated":true,` +
		`"timings":{"queue_ms":1.5,"wait_ms":0,"text_encode_ms":1000,"denoise_ms":123.457,"decode_ms":0,"image_encode_ms":0,` +
		`"upload_ms":0,"total_ms":2000},"rows_mean":3.333}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Encode (-want +got):\n%s", diff)
	}
	failed := Result{BatchID: "demo", Index: 0, Status: Failed, Error: &ResultError{TypeInvalidJob, "a <b>"}}
	got, err = failed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want = `{"version":1,"id":"demo/0","batch_id":"demo","index":0,"retry":0,"status":"failed","prompt_truncated":false,` +
		`"error":{"type":"invalid_job","message":"a <b>"}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Encode of a failed one (-want +got):\n%s", diff)
	}
}

func TestResultReadersIgnoreUnknownFields(t *testing.T) {
	want := testResult()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	newer := `{"version":2,"added":{"x":1},` + strings.Replace(string(data[1:]), `"version":1,`, "", 1)
	got, err := DecodeResult([]byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	want.Version, want.RowsMean = 2, 3.333
	want.Timings.Wait, want.Timings.Upload, want.Timings.Denoise = 0, 0, Millis(123457*time.Microsecond)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("DecodeResult (-want +got):\n%s", diff)
	}
}

func TestResultBreakingTheContract(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Result)
	}{
		{"batch_id", func(r *Result) { r.BatchID = "" }},
		{"trace_id", func(r *Result) { r.TraceID = "0AF7651916CD43DD8448EB211C80319C" }},
		{"trace_id", func(r *Result) { r.TraceID = "0af7" }},
		{"status", func(r *Result) { r.Status = "done" }},
		{"needs image", func(r *Result) { r.Image = nil }},
		{"needs image", func(r *Result) { r.Seed = nil }},
		{"takes no error", func(r *Result) { r.Error = &ResultError{Type: TypePanic} }},
		{"takes no image", func(r *Result) { r.Status = Cancelled }},
		{"needs an error", func(r *Result) { r.Status, r.Image = Failed, nil }},
		{"not on the list", func(r *Result) { r.Status, r.Image, r.Error = Failed, nil, &ResultError{Type: "oops"} }},
		{"no mean", func(r *Result) { r.RowsMean = Mean(math.NaN()) }},
	}
	for _, tt := range tests {
		r := testResult()
		tt.change(&r)
		if data, err := r.Encode(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Encode = %s, %v; want an error that says %q", data, err, tt.want)
		}
	}
	for _, data := range []string{"", "{}", "[]", `{"batch_id":"b","index":-1}`, `{"batch_id":"b","seed":-1}`,
		`{"batch_id":"b","timings":{"queue_ms":1e300}}`, `{"batch_id":"b","timings":{"queue_ms":"1"}}`} {
		if r, err := DecodeResult([]byte(data)); err == nil {
			t.Errorf("DecodeResult(%s) = %+v", data, r)
		}
	}
}

func TestMillisKeepMicroseconds(t *testing.T) {
	for _, us := range []int64{0, 1, 999, 1000, 1001, 123456789, -5, 86400e6 + 1} {
		m := Millis(time.Duration(us) * time.Microsecond)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, decimals, _ := strings.Cut(string(data), "."); len(decimals) > 3 {
			t.Errorf("%d µs written as %s", us, data)
		}
		var back Millis
		if err := json.Unmarshal(data, &back); err != nil || back != m {
			t.Errorf("%d µs written as %s, read as %v, %v", us, data, time.Duration(back), err)
		}
	}
}

// FuzzDecodeResult checks that no result panics and that one that was read and may be written means the same
// when read again.
func FuzzDecodeResult(f *testing.F) {
	data, err := testResult().Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(data), "{}", `{"batch_id":"b","status":"expired","rows_mean":1e-9}`, `{"batch_id":"b","timings":{"total_ms":-1e15}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeResult(data)
		if err != nil {
			return
		}
		written, err := r.Encode()
		if err != nil {
			return // read leniently, written strictly
		}
		again, err := DecodeResult(written)
		if err != nil {
			t.Fatalf("%s cannot be decoded: %v", written, err)
		}
		rewritten, err := again.Encode()
		if err != nil || string(rewritten) != string(written) {
			t.Fatalf("changed by reading and writing: %s became %s, %v", written, rewritten, err)
		}
	})
}
