package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/image/webp"
)

// result is a record of RESULTS, by the names of the contract.
type result struct {
	Version         int                `json:"version"`
	ID              string             `json:"id"`
	BatchID         string             `json:"batch_id"`
	Index           int                `json:"index"`
	Retry           int                `json:"retry"`
	Status          string             `json:"status"`
	TraceID         string             `json:"trace_id"`
	Image           *picture           `json:"image"`
	Seed            json.RawMessage    `json:"seed"`
	Model           string             `json:"model"`
	ModelDigest     string             `json:"model_digest"`
	Attempt         int                `json:"attempt"`
	Worker          string             `json:"worker"`
	PromptTruncated bool               `json:"prompt_truncated"`
	Timings         map[string]float64 `json:"timings"` // ms
	RowsMean        float64            `json:"rows_mean"`
	Error           *failure           `json:"error"`

	raw []byte
}

type picture struct {
	Bucket       string `json:"bucket"`
	Key          string `json:"key"`
	ContentType  string `json:"content_type"`
	Width        int    `json:"width"`
	Height       int    `json:"height"`
	Size         int64  `json:"size"`
	SHA256       string `json:"sha256"`
	PixelsSHA256 string `json:"pixels_sha256"`
}

type failure struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// last returns the last message of every subject of a stream that filter matches. The stream may not be there yet.
func (w *world) last(stream, filter string) map[string]*jetstream.RawStreamMsg {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	s, err := w.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		w.t.Fatalf("looking up stream %s: %v", stream, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		w.t.Fatalf("listing subjects of %s: %v", stream, err)
	}
	all := map[string]*jetstream.RawStreamMsg{}
	for subject := range info.State.Subjects {
		if all[subject], err = s.GetLastMsgForSubject(ctx, subject); err != nil {
			w.t.Fatalf("reading %s: %v", subject, err)
		}
	}
	return all
}

// state is how full a stream is.
func (w *world) state(stream string) jetstream.StreamState {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	s, err := w.js.Stream(ctx, w.stream(stream))
	if err != nil {
		w.t.Fatalf("looking up stream %s: %v", w.stream(stream), err)
	}
	return s.CachedInfo().State
}

// consumer is what the broker says of the consumer of a priority and model.
func (w *world) consumer(priority, model string) *jetstream.ConsumerInfo {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	c, err := w.js.Consumer(ctx, w.stream("JOBS"), "w-"+priority+"-"+model)
	if err != nil {
		w.t.Fatalf("looking up the consumer of %s %s: %v", priority, model, err)
	}
	return c.CachedInfo()
}

// results returns the records of a batch by index.
func (w *world) results(batch string) map[int]result {
	w.t.Helper()
	all := map[int]result{}
	for subject, msg := range w.last(w.stream("RESULTS"), w.subject("results", batch, "*")) {
		r := result{raw: msg.Data}
		if err := json.Unmarshal(msg.Data, &r); err != nil {
			w.t.Fatalf("the result at %s: %v\n%s", subject, err, msg.Data)
		}
		if want := w.subject("results", r.BatchID, fmt.Sprint(r.Index)); subject != want {
			w.t.Errorf("the result of %s lies at %s", want, subject)
		}
		all[r.Index] = r
	}
	return all
}

// awaitResults waits until n jobs of a batch have a result.
func (w *world) awaitResults(batch string, n int, within time.Duration) map[int]result {
	w.t.Helper()
	var all map[int]result
	eventually(w.t, within, func() string {
		if all = w.results(batch); len(all) < n {
			return fmt.Sprintf("%d of the %d jobs of %s have a result", len(all), n, batch)
		}
		return ""
	})
	return all
}

// done waits until the n jobs of a batch are done and holds the promise of this project to it: n results, each written
// once; n objects, each the picture that its result describes; nothing left in the queue, no dead letter.
func (w *world) done(batch string, n int, within time.Duration) map[int]result {
	w.t.Helper()
	all := w.awaitResults(batch, n, within)
	var keys []string
	for i := range n {
		r, ok := all[i]
		if !ok || r.Status != "succeeded" || r.Image == nil {
			w.t.Fatalf("job %s/%d has the result %s", batch, i, r.raw)
		}
		keys = append(keys, r.Image.Key)
		w.checkPicture(r)
	}
	if stored := w.keys(batch); len(all) != n || !slices.Equal(stored, keys) {
		w.t.Errorf("%s has %d results and the objects\n%s\nwant %d of each:\n%s", batch, len(all), strings.Join(stored, "\n"), n, strings.Join(keys, "\n"))
	}
	w.settled()
	if state := w.state("RESULTS"); state.LastSeq != state.Msgs {
		w.t.Errorf("%d results were written for %d jobs: some twice", state.LastSeq, state.Msgs)
	}
	if dead := w.last(w.stream("DEAD"), w.subject("dead", batch, "*")); len(dead) > 0 {
		w.t.Errorf("%s has %d dead letters: %v", batch, len(dead), dead)
	}
	return all
}

// settled waits until no message is left in the queue.
func (w *world) settled() {
	w.t.Helper()
	eventually(w.t, 10*time.Second, func() string {
		if state := w.state("JOBS"); state.Msgs > 0 {
			return fmt.Sprintf("%d messages are left in the queue", state.Msgs)
		}
		return ""
	})
}

// keys lists the objects of a batch, sorted, which is by index.
func (w *world) keys(batch string) []string {
	w.t.Helper()
	listed, err := w.s3.ListObjectsV2(w.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(w.bucket), Prefix: aws.String(w.keyPrefix() + batch + "/")})
	if err != nil {
		w.t.Fatalf("listing the objects of %s: %v", batch, err)
	}
	var keys []string
	for _, o := range listed.Contents {
		keys = append(keys, aws.ToString(o.Key))
	}
	return keys
}

// object is what the store has under a key.
type object struct {
	body        []byte
	contentType string
	metadata    map[string]string
	modified    time.Time
}

func (w *world) object(key string) object {
	w.t.Helper()
	got, err := w.s3.GetObject(w.t.Context(), &s3.GetObjectInput{Bucket: aws.String(w.bucket), Key: aws.String(key)})
	if err != nil {
		w.t.Fatalf("getting %s: %v", key, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		w.t.Fatalf("getting %s: %v", key, err)
	}
	return object{body, aws.ToString(got.ContentType), got.Metadata, aws.ToTime(got.LastModified)}
}

// checkPicture holds that the object of a result is the picture that the result describes, and returns it.
func (w *world) checkPicture(r result) object {
	w.t.Helper()
	o := w.object(r.Image.Key)
	if sum := sha256.Sum256(o.body); hex.EncodeToString(sum[:]) != r.Image.SHA256 || int64(len(o.body)) != r.Image.Size {
		w.t.Errorf("%s has %d bytes of sha256 %x, its result says %d and %s", r.Image.Key, len(o.body), sum, r.Image.Size, r.Image.SHA256)
	}
	if o.contentType != r.Image.ContentType || r.Image.Bucket != w.bucket {
		w.t.Errorf("%s is %s in %s, its result says %s in %s", r.Image.Key, o.contentType, w.bucket, r.Image.ContentType, r.Image.Bucket)
	}
	pixels, width, height, err := decode(o)
	if err != nil || width != r.Image.Width || height != r.Image.Height {
		w.t.Errorf("%s decodes to %d×%d (%v), its result says %d×%d", r.Image.Key, width, height, err, r.Image.Width, r.Image.Height)
	}
	// A JPEG's or WebP's pixels are other than those that were drawn.
	if sum := sha256.Sum256(pixels); o.contentType == "image/png" && hex.EncodeToString(sum[:]) != r.Image.PixelsSHA256 {
		w.t.Errorf("%s has pixels of sha256 %x, its result says %s", r.Image.Key, sum, r.Image.PixelsSHA256)
	}
	return o
}

// decode reads an image file into RGB, 8 bits each, row by row.
func decode(o object) (pixels []byte, width, height int, err error) {
	read := png.Decode
	switch o.contentType {
	case "image/jpeg":
		read = jpeg.Decode
	case "image/webp":
		read = webp.Decode
	}
	img, err := read(bytes.NewReader(o.body))
	if err != nil {
		return nil, 0, 0, err
	}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			pixels = append(pixels, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return pixels, b.Dx(), b.Dy(), nil
}

// trim is a seed without the quotes that large ones have.
func trim(seed json.RawMessage) string { return strings.Trim(string(seed), `"`) }

// pixels are the pixels_sha256 of results, by index.
func pixels(results map[int]result) map[int]string {
	all := map[int]string{}
	for i, r := range results {
		if r.Image != nil {
			all[i] = r.Image.PixelsSHA256
		}
	}
	return all
}
