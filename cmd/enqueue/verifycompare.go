package main

import (
	"context"
	"fmt"
	"io"

	"github.com/stipple-ai/stipple/internal/ledger"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// What was compared.
const (
	compareHash    = "pixels_sha256" // of the pixels before they were encoded
	compareDecoded = "decoded"       // the pixels that the files decode to
)

// compare compares the picture with the one that was drawn now. That is only downloaded where its hash does not settle
// the matter.
func (v *verification) compare(ctx context.Context, x *explainer, r queue.Result, s *ops.Stores) error {
	v.DrawnSHA256, v.Compared = r.Image.PixelsSHA256, compareHash
	if v.PixelsSHA256 != "" && v.PixelsSHA256 == v.DrawnSHA256 {
		v.Same = true
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(x.timeout, tidyTimeout))
	defer cancel()
	store, err := s.Get(ctx, r.Image.Bucket)
	if err != nil {
		return err
	}
	o, err := store.Get(ctx, r.Image.Key)
	if err != nil {
		return err
	}
	was, err := upload.Decode(x.picture.data)
	if err != nil {
		return fmt.Errorf("%s: %w", x.name(), err)
	}
	is, err := upload.Decode(o.Body)
	if err != nil {
		return fmt.Errorf("the new picture %s: %w", r.Image.Key, err)
	}
	if v.PixelsSHA256 == "" || v.DrawnSHA256 == "" {
		v.Compared = compareDecoded
	}
	if was.Width != is.Width || was.Height != is.Height {
		v.Notes = append(v.Notes, fmt.Sprintf("the picture has %d×%d pixels, the new one %d×%d", was.Width, was.Height, is.Width, is.Height))
		return nil
	}
	v.Largest, v.Differing = difference(was.Pix, is.Pix)
	v.Values = int64(len(was.Pix))
	v.Same = v.Compared == compareDecoded && v.Differing == 0
	return nil
}

// difference returns the largest difference of two channel values and how many differ.
func difference(a, b []byte) (largest int, differing int64) {
	for i := range a {
		d := int(a[i]) - int(b[i])
		if d != 0 {
			differing++
		}
		largest = max(largest, d, -d)
	}
	return largest, differing
}

// write writes what was found for people.
func (v *verification) write(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-8s %s\n", name, escaped(fmt.Sprintf(format, args...)))
	}
	verdict := "the same"
	if !v.Same {
		verdict = "it differs"
	}
	line("picture", "%s", v.File+v.Key)
	line("verdict", "%s, by %s", verdict, map[string]string{compareHash: "the hash of its pixels", compareDecoded: "the pixels that the files decode to"}[v.Compared])
	line("model", "%s  %s", v.Model, v.RegisteredDigest)
	if v.PixelsSHA256 != "" {
		line("pixels", "sha256 %s", v.PixelsSHA256)
	}
	if !v.Same {
		line("drawn", "sha256 %s", v.DrawnSHA256)
	}
	if v.Values > 0 {
		line("largest", "difference of a channel: %d of 255; %s of the values differ", v.Largest, ledger.Percent(float64(v.Differing)/float64(v.Values)))
	}
	line("batch", "%s", v.BatchID)
	if v.TraceID != "" {
		line("trace", "%s", v.TraceID)
	}
	if v.Kept != "" {
		line("kept", "%s", v.Kept)
	}
	for _, n := range v.Notes {
		line("note", "%s", n)
	}
}
