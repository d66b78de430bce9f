package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/upload"
)

// gridPageName is the page of a grid, in its folder and below the prefix of its batch.
const gridPageName = "grid.html"

// gridFile is a file that a grid leaves.
type gridFile struct {
	Z    string `json:"z,omitempty"`    // value of a sheet
	File string `json:"file,omitempty"` // in the folder of --out
	Key  string `json:"key,omitempty"`  // in the bucket
	URL  string `json:"url,omitempty"`  // presigned

	name string
	z    int
}

// gridSide is an axis in the last line of `enqueue grid --json`.
type gridSide struct {
	Field  string   `json:"field"`
	Values []string `json:"values"`
}

// gridLine is that line.
type gridLine struct {
	Type    string     `json:"type"` // grid
	BatchID string     `json:"batch_id"`
	X       *gridSide  `json:"x,omitempty"`
	Y       *gridSide  `json:"y,omitempty"`
	Z       *gridSide  `json:"z,omitempty"`
	Bucket  string     `json:"bucket,omitempty"` // left out where nothing was uploaded
	Sheets  []gridFile `json:"sheets"`
	Page    gridFile   `json:"page"`
}

// gridWriter writes what a grid leaves: into a folder, and beside its pictures.
type gridWriter struct {
	*app
	flags  *gridFlags
	cells  *gridCells
	dir    string        // of the files
	keep   bool          // that is the folder of --out
	store  *upload.Store // nil uploads nothing
	prefix string        // of the keys

	sheets []gridFile
}

// writeGrid draws the sheets and writes the page, uploads both, and tells where they are.
func (a *app) writeGrid(ctx context.Context, f *gridFlags, cells *gridCells, pictures *downloads, keep bool) error {
	w := gridWriter{app: a, flags: f, cells: cells, dir: pictures.dir, keep: keep}
	bucket, prefix := cells.place()
	if w.prefix = prefix; prefix == "" {
		w.prefix = upload.BatchPrefix(f.store.config.Prefix, f.batch)
	}
	if !f.noUpload || f.links == linksPresigned {
		store, err := pictures.stores.Get(ctx, bucket)
		switch {
		case err != nil && keep && bucket == "":
			f.noUpload = true
			fmt.Fprintln(a.stderr, "no picture was drawn, so none says in which bucket to put sheets and page; set S3_BUCKET to upload them")
		case err != nil:
			return err
		}
		w.store = store
	}
	if err := w.draw(ctx); err != nil {
		return err
	}
	page, err := w.pages(ctx)
	if err != nil {
		return err
	}
	return w.tell(page)
}

// draw draws the sheets, and uploads each.
func (w *gridWriter) draw(ctx context.Context) error {
	box := w.cells.small.box()
	axes := w.cells.axes
	for z := range axes[2].side.Len() {
		title, subtitle := w.cells.title(), w.cells.subtitle(w.flags.batch)
		if label := axes[2].side.Label(z); label != "" {
			title, subtitle = label, w.cells.title()+" · "+subtitle
		}
		sheet := gallery.GridSheet{
			Title: title, Subtitle: subtitle, X: axes[0].side, Y: axes[1].side, Box: box,
			Cell: func(x, y int) (gallery.Thumbnail, error) {
				if ctx.Err() != nil {
					return gallery.Thumbnail{}, fmt.Errorf("%w; draw the sheets again by: %s", errInterrupted, commandAgain(w.args, "grid", w.flags.batch, ""))
				}
				return w.thumbnail((z*axes[1].side.Len()+y)*axes[0].side.Len() + x)
			},
		}
		for _, part := range sheet.Parts() {
			name := fmt.Sprintf("grid-%02d.png", len(w.sheets)+1)
			if value := slug(axes[2].side.Value(z)); value != "" {
				name = fmt.Sprintf("grid-%02d-%s.png", len(w.sheets)+1, value)
			}
			file := gridFile{Z: axes[2].side.Value(z), name: name, z: z}
			if err := w.file(ctx, &file, "image/png", part.Encode); err != nil {
				return err
			}
			w.sheets = append(w.sheets, file)
		}
	}
	return nil
}

func (w *gridWriter) thumbnail(i int) (gallery.Thumbnail, error) {
	if what, why := w.cells.missing(i); what != "" {
		return gallery.Thumbnail{Missing: what, Reason: why}, nil
	}
	picture, err := w.cells.small.get(i)
	return gallery.Thumbnail{Image: picture}, err
}

// file writes a file as a whole or not at all, uploads it, and notes where it is.
func (w *gridWriter) file(ctx context.Context, f *gridFile, contentType string, write func(io.Writer) error) error {
	path := filepath.Join(w.dir, f.name)
	if err := replaceFile(path, write); err != nil {
		return err
	}
	if w.keep {
		f.File = path
	}
	if w.flags.noUpload {
		return nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return w.upload(ctx, f, contentType, body)
}

// upload puts a file beside the pictures.
func (w *gridWriter) upload(ctx context.Context, f *gridFile, contentType string, body []byte) (err error) {
	f.Key = w.prefix + f.name
	if err := w.store.Replace(ctx, f.Key, contentType, body); err != nil {
		return interrupted(ctx, err, "draw and upload again by: "+commandAgain(w.args, "grid", w.flags.batch, ""))
	}
	if w.flags.links == linksPresigned {
		f.URL, err = w.store.Presign(ctx, f.Key, w.flags.expires)
	}
	return err
}

// replaceFile writes a file in place of what is there. What a crash leaves of the partial file is overwritten next time.
func replaceFile(path string, write func(io.Writer) error) error {
	partial := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	file, err := os.Create(partial)
	if err != nil {
		return err
	}
	err = write(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return os.Rename(partial, path)
}

// pages writes the page, as it is in the folder and as it is in the bucket.
func (w *gridWriter) pages(ctx context.Context) (gridFile, error) {
	page := gridFile{name: gridPageName}
	if w.keep {
		page.File = filepath.Join(w.dir, gridPageName)
		if err := w.render(ctx, page.File, false); err != nil {
			return page, err
		}
	}
	if w.flags.noUpload {
		return page, nil
	}
	// Below the prefix pictures have other names than in the folder.
	uploaded := filepath.Join(w.dir, "."+gridPageName+".upload")
	if err := w.render(ctx, uploaded, true); err != nil {
		return page, err
	}
	body, err := os.ReadFile(uploaded)
	if err = errors.Join(err, os.Remove(uploaded)); err != nil {
		return page, err
	}
	return page, w.upload(ctx, &page, "text/html; charset=utf-8", body)
}

// render writes the page to a file.
func (w *gridWriter) render(ctx context.Context, path string, inBucket bool) error {
	p, failed := w.page(ctx, inBucket)
	err := replaceFile(path, p.Render)
	return errors.Join(failed(), err)
}

// tell says where everything is.
func (w *gridWriter) tell(page gridFile) error {
	bucket := ""
	if !w.flags.noUpload {
		bucket = w.store.Bucket()
	}
	if w.flags.json {
		line := gridLine{Type: "grid", BatchID: w.flags.batch, Bucket: bucket, Sheets: w.sheets, Page: page}
		for i, side := range []**gridSide{&line.X, &line.Y, &line.Z} {
			if d := w.cells.axes[i].side; d.Name != "" {
				*side = &gridSide{d.Name, d.Values}
			}
		}
		return writeLine(w.stdout, line)
	}
	var out bytes.Buffer
	for _, f := range append(w.sheets, page) {
		kind := "sheet"
		if f.name == gridPageName {
			kind = "page"
		}
		for _, where := range []string{f.File, s3Name(bucket, f.Key), f.URL} {
			if where != "" {
				fmt.Fprintf(&out, "%-7s %s\n", kind, printable(where))
				kind = ""
			}
		}
	}
	_, err := w.stdout.Write(out.Bytes())
	return err
}

// s3Name names an object for people; "" for none.
func s3Name(bucket, key string) string {
	if key == "" {
		return ""
	}
	return "s3://" + bucket + "/" + key
}

// slug makes the part of a file's name that tells a value: lower-case letters, digits, dashes and points, at most 40.
func slug(value string) string {
	words := strings.FieldsFunc(strings.ToLower(value), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_'
	})
	name := strings.Trim(strings.Join(words, "-"), "-.")
	if len(name) > 40 {
		name = strings.TrimRight(name[:40], "-.")
	}
	return name
}
