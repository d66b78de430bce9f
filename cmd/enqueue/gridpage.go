package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// page is the page of the grid, as it lies in the bucket or in the folder. Failed says afterwards what went wrong while
// it was written.
func (w *gridWriter) page(ctx context.Context, inBucket bool) (p gallery.GridPage, failed func() error) {
	c := w.cells
	var errs []error
	p = gallery.GridPage{
		Title: c.title(), Lede: c.subtitle(w.flags.batch), X: c.axes[0].side, Y: c.axes[1].side, Z: c.axes[2].side,
		Common: c.common(), Command: commandAgain(w.args, "grid", w.flags.batch, c.model()), Took: c.took, ImageSources: "'self' file:",
	}
	for i, r := range c.results {
		if what, _ := c.missing(i); what != "" {
			p.Missing++
			continue
		}
		p.Drawn++
		p.Size += r.Image.Size
	}
	if w.flags.links == linksPresigned {
		p.ImageSources = "http: https:"
	}
	p.Sheets = func(z int) []string {
		var links []string
		for _, s := range w.sheets {
			switch {
			case s.z != z:
			case inBucket && s.URL != "": // a relative link would lack the signature
				links = append(links, s.URL)
			default:
				links = append(links, relativeURL(s.name))
			}
		}
		return links
	}
	p.Cell = func(i int) gallery.GridCell {
		cell := c.cell(i)
		if cell.Missing != "" || len(errs) > 0 {
			return cell
		}
		source, err := w.link(ctx, i, inBucket)
		if err != nil {
			errs = append(errs, err)
			return cell
		}
		cell.Source = template.URL(source) //nolint:gosec // of our own making: a name, a presigned URL, or base64
		if w.flags.links != linksEmbedded {
			cell.File = source
		}
		return cell
	}
	return p, func() error { return errors.Join(errs...) }
}

// link is the URL of a picture.
func (w *gridWriter) link(ctx context.Context, i int, inBucket bool) (string, error) {
	r := w.cells.results[i]
	switch {
	case w.flags.links == linksEmbedded:
		small, err := w.cells.small.jpeg(i)
		return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(small), err
	case w.flags.links == linksPresigned:
		return w.store.Presign(ctx, r.Image.Key, w.flags.expires)
	case inBucket:
		return relativeURL(strings.TrimPrefix(r.Image.Key, w.prefix)), nil
	}
	return relativeURL(fileName(*r)), nil
}

// relativeURL is the URL of a file beside the page.
func relativeURL(name string) string {
	return (&url.URL{Path: path.Clean("./" + name)}).String()
}

// title is what the grid shows: the prompt that all pictures have, or how many they are.
func (c *gridCells) title() string {
	if !c.axes.has("prompt") {
		if prompt := strings.TrimSpace(queue.Or(c.jobs[0].Prompt, "")); prompt != "" {
			return shorten(prompt, 120)
		}
	}
	return ops.Plural(len(c.jobs), "picture")
}

// subtitle is what it varies, and which batch it is.
func (c *gridCells) subtitle(batch string) string {
	var names []string
	for _, a := range c.axes {
		if a.side.Name != "" {
			names = append(names, a.side.Name)
		}
	}
	text := strings.Join(names, " × ")
	if model := c.model(); model != "" {
		text += ", drawn by " + model
	}
	return text + ", batch " + batch
}

// model is the model of all pictures; "" where it is varied, or not known.
func (c *gridCells) model() string {
	if c.axes.has("model") {
		return ""
	}
	if c.jobs[0].Model != "" {
		return c.jobs[0].Model
	}
	for _, r := range c.results {
		if r != nil && r.Model != "" {
			return r.Model
		}
	}
	return ""
}

// common are the fields that all jobs share.
func (c *gridCells) common() []gallery.Fact {
	j := c.jobs[0]
	if j.Model == "" {
		j.Model = c.model()
	}
	return slices.DeleteFunc(fieldsOf(j), func(f gallery.Fact) bool {
		return c.axes.has(f.Name) || f.Name == "prompt" && f.Value == c.title()
	})
}

// fieldsOf are the fields of a job that say what is drawn, by their names in its JSON.
func fieldsOf(j queue.Job) []gallery.Fact {
	body, err := j.Encode()
	if err != nil {
		return nil // its model is not known: no result has come
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(body, &values); err != nil {
		return nil // not reached: it was written above
	}
	var facts []gallery.Fact
	for _, name := range append([]string{"prompt", "negative_prompt"}, jobFieldNames()...) {
		raw, ok := values[name]
		if !ok || name == "negative_prompt" && string(raw) == `""` {
			continue
		}
		text := string(raw)
		if unquoted := ""; json.Unmarshal(raw, &unquoted) == nil {
			text = unquoted
		}
		facts = append(facts, gallery.Fact{Name: name, Value: text})
	}
	return facts
}

// jobFieldNames are the fields that flags give, but for the texts.
func jobFieldNames() []string {
	var names []string
	for _, f := range jobFlagTable() {
		if f.field != "negative_prompt" {
			names = append(names, f.field)
		}
	}
	return names
}

// cell is what the page tells of a job, without its picture's URL.
func (c *gridCells) cell(i int) gallery.GridCell {
	j, r := c.jobs[i], c.results[i]
	cell := gallery.GridCell{Alt: queue.Or(j.Prompt, "")}
	cell.Missing, cell.Reason = c.missing(i)
	add := func(name, value string) {
		if value != "" {
			cell.Facts = append(cell.Facts, gallery.Fact{Name: name, Value: value})
		}
	}
	if !c.axes.has("seed") {
		add("seed", strconv.FormatUint(j.SeedOrDefault(), 10))
	}
	if labels := c.axes.labels(int64(i)); labels != "" {
		cell.Alt += " (" + labels + ")"
	}
	add("job", j.Identity().String())
	if r == nil {
		return cell
	}
	if c.axes.has("model") {
		add("model", r.Model)
	}
	if r.Image != nil {
		cell.Width, cell.Height = r.Image.Width, r.Image.Height
		add("size", fmt.Sprintf("%d × %d pixels, %s", r.Image.Width, r.Image.Height, gallery.FormatBytes(r.Image.Size)))
	}
	if r.Timings != nil {
		add("in the worker", gallery.FormatDuration(time.Duration(r.Timings.Total)))
	}
	if r.Image != nil {
		add("stored as", s3Name(r.Image.Bucket, r.Image.Key))
	}
	add("trace", r.TraceID)
	return cell
}
