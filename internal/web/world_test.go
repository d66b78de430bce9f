package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a system in memory, which the page shows: batches of pictures that a test lets land, of any colours.
type world struct {
	mu       sync.Mutex
	state    *web.State
	images   []web.Image // image i has the sequence i+1
	letters  []web.Letter
	changed  chan struct{}
	files    map[string][]byte
	reads    int // of files
	done     []string
	failWith error
}

func newWorld() *world {
	w := &world{changed: make(chan struct{}), files: map[string][]byte{}}
	w.state = &web.State{At: time.Unix(1_800_000_000, 0).UTC(), Problems: []web.Problem{}, Workers: []web.Worker{}, Batches: []web.Batch{},
		Queues:     []web.Queue{{Model: "tiny-emoji", Priority: "normal", Waiting: 3, Running: 1}},
		Models:     []web.Model{{Name: "tiny-emoji", Width: 64, Height: 64, Defaults: json.RawMessage(`{"num_inference_steps":20}`), Limits: json.RawMessage(`{}`)}},
		Schedulers: []web.Scheduler{"ddim", "euler_a"}}
	return w
}

// config is a page of the world.
func (w *world) config() web.Config {
	return web.Config{News: w, Records: w, Letters: letters{w}, Pictures: w, Orders: w, Controls: w, Version: "test"}
}

// tell makes another state.
func (w *world) tell(change func(*web.State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := *w.state
	change(&next)
	w.state = &next
	w.wake()
}

// land lets pictures of a batch land, n after those that have.
func (w *world) land(batch string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := int64(len(w.images))
	for i := from; i < from+int64(n); i++ {
		key := fmt.Sprintf("%s/%08d-0123456789abcdef.png", batch, i)
		w.images = append(w.images, web.Image{Job: fmt.Sprintf("%s/%d", batch, i), Batch: batch, Index: i, Key: key, Status: "succeeded", Width: 64, Height: 64,
			Seed: i, Prompt: "a <b>cat</b>", Model: "tiny-emoji", At: w.state.At.Add(time.Duration(i) * time.Second), Thumb: "/thumb/" + key, Src: "/image/" + key})
		w.files[key] = nil
	}
	w.wake()
}

func (w *world) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) State() *web.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *world) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *world) Landed(after uint64, limit int) web.Landed {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := uint64(len(w.images))
	if after > last {
		after = last
	}
	some := w.images[after:min(last, after+uint64(limit))]
	return web.Landed{Images: slices.Clone(some), Last: after + uint64(len(some)), More: limit > 0 && after+uint64(len(some)) < last}
}

func (w *world) Letters() web.LetterPage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return web.LetterPage{Dead: slices.Clone(w.letters), Count: int64(len(w.letters))}
}

func (w *world) Batch(_ context.Context, id string) (web.Batch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := web.Batch{ID: id, From: "results"}
	for _, i := range w.images {
		if i.Batch == id {
			b.Total, b.Succeeded, b.Images = b.Total+1, b.Succeeded+1, b.Images+1
		}
	}
	if b.Total == 0 {
		return b, web.Errorf(http.StatusNotFound, "there is no batch %s", id)
	}
	return b, nil
}

func (w *world) Images(_ context.Context, q web.ImageQuery) (web.ImagePage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	page := web.ImagePage{Images: []web.Image{}, Total: int64(len(w.images))}
	for seq := uint64(1); seq <= uint64(len(w.images)); seq++ {
		at := seq
		if q.Order == web.Newest {
			at = uint64(len(w.images)) + 1 - seq
		}
		i := w.images[at-1]
		switch {
		case q.Batch != "" && i.Batch != q.Batch,
			q.Order == web.ByRecord && at <= q.After,
			q.Order == web.Newest && q.After > 0 && at >= q.After,
			q.Order == web.ByIndex && (i.Index < q.From || i.Index >= q.From+int64(q.Limit)):
			continue
		}
		if len(page.Images) == q.Limit {
			page.Next = strconv.FormatUint(w.sequence(page.Images[q.Limit-1]), 10)
			break
		}
		page.Images = append(page.Images, i)
	}
	return page, nil
}

func (w *world) sequence(i web.Image) uint64 {
	return uint64(1 + slices.IndexFunc(w.images, func(o web.Image) bool { return o.Job == i.Job }))
}

func (w *world) Job(_ context.Context, batch string, index int64) (web.Details, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.images {
		if i.Batch == batch && i.Index == index {
			return web.Details{Job: json.RawMessage(`{"prompt":"a <b>cat</b>"}`), Result: json.RawMessage("null"),
				Ledger: json.RawMessage(`{"status":"succeeded","notes":[]}`), Command: "enqueue 'a cat'", Images: []web.Image{i}}, nil
		}
	}
	return web.Details{}, web.Errorf(http.StatusNotFound, "there is no job %s/%d", batch, index)
}

// letters are the dead letters of a world, whose News has a method of that name.
type letters struct{ *world }

func (l letters) Dead(_ context.Context, after uint64, limit int) (web.LetterPage, error) {
	page := l.Letters()
	page.Dead = page.Dead[min(after, uint64(len(page.Dead))):]
	page.Dead = page.Dead[:min(limit, len(page.Dead))]
	return page, nil
}

func (w *world) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	file, err := w.Read(ctx, key, math.MaxInt64)
	return io.NopCloser(bytes.NewReader(file)), err
}

func (w *world) Read(_ context.Context, key string, _ int64) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	file, there := w.files[key]
	if !there {
		return nil, web.Errorf(http.StatusNotFound, "there is no picture %s", key)
	}
	if file == nil {
		file = drawing(640, 480, len(key)+w.reads)
	}
	return file, nil
}

// drawing is a picture of one colour, as PNG.
func drawing(width, height, shade int) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(shade * (1 + i%4))
	}
	img.Set(0, 0, color.White)
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		panic(err) // not reached: a buffer takes everything
	}
	return file.Bytes()
}

func (w *world) did(what string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, strings.TrimSpace(what+" "+strings.Trim(fmt.Sprint(args...), "[]")))
	return w.failWith
}

func (w *world) Submit(_ context.Context, o web.Order) (web.Submitted, error) {
	jobs := int64(len(o.Jobs))
	for _, a := range o.Axes {
		jobs *= int64(len(a.Values))
	}
	var text []string
	for _, j := range o.Jobs {
		text = append(text, string(j))
	}
	for _, a := range o.Axes {
		text = append(text, a.Field+"="+strings.Join(a.Values, ","))
	}
	id := o.Batch
	if id == "" {
		id = "drawn"
	}
	return web.Submitted{Batch: id, Jobs: []string{id + "/0"}, Total: jobs}, w.did("submit", o.Priority+" "+strings.Join(text, " "))
}

func (w *world) Retry(_ context.Context, batch string, index int64, what string) (int64, error) {
	return 2, w.did("retry", batch, " ", index, " ", what)
}

func (w *world) Requeue(_ context.Context, letters []uint64) (int64, error) {
	return int64(len(letters)), w.did("requeue", letters)
}

func (w *world) Cancel(_ context.Context, batch string, index int64) (int64, error) {
	return 7, w.did("cancel", batch, " ", index)
}

func (w *world) Pause(_ context.Context, model string, pause bool) ([]string, error) {
	return []string{"w-normal-" + model}, w.did("pause", model, " ", pause)
}
