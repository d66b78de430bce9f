package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// object is an object as it lies in the store.
type object struct {
	sha256 string // of its bytes
	pixels string // SHA-256 of its decoded RGB; "" where it is no picture
}

// record is what counts of a result.
type record struct {
	BatchID string `json:"batch_id"`
	Index   int    `json:"index"`
	Status  string `json:"status"`
	Image   *image `json:"image"`

	subject string
	stored  time.Time // by the broker's clock
}

// image is what counts of a result's image.
type image struct {
	Key          string `json:"key"`
	SHA256       string `json:"sha256"`
	PixelsSHA256 string `json:"pixels_sha256"`
}

// evidence is what is found when a batch is done.
type evidence struct {
	objects  map[string]object // images of the batch, by key
	strays   []string          // keys of no image: probes and checkpoints
	twice    []string          // paths of images that the store has taken more than once, of all batches
	results  []record          // of the batch, in the order in which they were recorded
	replaced int               // records that gave way to another, of all batches
	dead     []string          // subjects of dead letters
	left     int               // messages in the queue
}

// collect reads every object, every record and every dead letter.
func (w *world) collect(ctx context.Context, batch string) (evidence, error) {
	e := evidence{objects: map[string]object{}, twice: w.mood.overwritten()}
	err := errors.Join(w.collectObjects(ctx, batch, &e), w.collectResults(ctx, batch, &e))
	jobs, err2 := w.state(ctx, "JOBS")
	e.left = int(jobs.Msgs)
	err3 := w.each(ctx, "DEAD", func(msg *jetstream.RawStreamMsg) error {
		e.dead = append(e.dead, msg.Subject)
		return nil
	}, func() {})
	return e, errors.Join(err, err2, err3)
}

func (w *world) collectObjects(ctx context.Context, batch string, e *evidence) error {
	pages := s3.NewListObjectsV2Paginator(w.s3, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing the bucket: %w", err)
		}
		for _, listed := range page.Contents {
			key := aws.ToString(listed.Key)
			switch {
			case strings.HasPrefix(key, batch+"/"):
				if e.objects[key], err = w.object(ctx, key); err != nil {
					return err
				}
			case strings.HasPrefix(key, "."):
				e.strays = append(e.strays, key)
			}
		}
	}
	return nil
}

func (w *world) object(ctx context.Context, key string) (object, error) {
	got, err := w.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return object{}, fmt.Errorf("getting %s: %w", key, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return object{}, fmt.Errorf("getting %s: %w", key, err)
	}
	sum := sha256.Sum256(body)
	o := object{sha256: hex.EncodeToString(sum[:])}
	if pixels, err := decode(body); err == nil {
		sum = sha256.Sum256(pixels)
		o.pixels = hex.EncodeToString(sum[:])
	}
	return o, nil
}

// decode reads a PNG file into RGB, 8 bits each, row by row.
func decode(file []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	b := img.Bounds()
	pixels := make([]byte, 0, 3*b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			pixels = append(pixels, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return pixels, nil
}

func (w *world) collectResults(ctx context.Context, batch string, e *evidence) error {
	return w.each(ctx, "RESULTS", func(msg *jetstream.RawStreamMsg) error {
		r := record{subject: msg.Subject, stored: msg.Time}
		if err := json.Unmarshal(msg.Data, &r); err != nil {
			return fmt.Errorf("reading %s: %w", msg.Subject, err)
		}
		if r.BatchID == batch {
			e.results = append(e.results, r)
		}
		return nil
	}, func() { e.replaced++ })
}

// each reads a stream from its first message to its last, and says which are gone.
func (w *world) each(ctx context.Context, stream string, read func(*jetstream.RawStreamMsg) error, gone func()) error {
	var s jetstream.Stream
	err := ask(ctx, func(ctx context.Context) (err error) {
		s, err = w.js.Stream(ctx, stream)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking at %s: %w", stream, err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		var msg *jetstream.RawStreamMsg
		err := ask(ctx, func(ctx context.Context) (err error) {
			msg, err = s.GetMsg(ctx, seq)
			return err
		})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			gone()
			continue
		}
		if err == nil {
			err = read(msg)
		}
		if err != nil {
			return fmt.Errorf("reading message %d of %s: %w", seq, stream, err)
		}
	}
	return nil
}

// ask asks a cluster until it answers: while it elects a leader nobody does, not even with an error.
func ask(ctx context.Context, question func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := question(once)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
		if wait(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return err
		}
	}
}
