package web

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
	"golang.org/x/sync/semaphore"
)

// Bounds of making thumbnails: so many pictures at once, of so many bytes, whose pixels together take so much.
const (
	thumbsAtOnce = 4
	maxFile      = 32 << 20
	pixelRoom    = 256 << 20
	thumbQuality = 82 // of JPEG
)

// errTooLarge is a picture that is shown as it is, since making it smaller takes too much memory.
var errTooLarge = errors.New("the picture is too large to be made smaller here")

// thumb is a small picture.
type thumb struct {
	body        []byte
	contentType string
}

// thumbKey says of which picture, and how small.
type thumbKey struct {
	key  string
	side int
}

// thumbs makes small pictures of large ones and keeps those that were asked for last. Its methods may be called from
// several goroutines.
type thumbs struct {
	pictures Pictures
	slots    *semaphore.Weighted // of pictures that are read and made at once
	room     *semaphore.Weighted // of bytes of pixels

	mu   sync.Mutex
	left int64 // bytes that may still be kept
	kept map[thumbKey]*list.Element
	used *list.List // of entries, the one that was used last first
}

type thumbEntry struct {
	key   thumbKey
	thumb thumb
}

func newThumbs(p Pictures, cache int64) *thumbs {
	return &thumbs{
		pictures: p, slots: semaphore.NewWeighted(thumbsAtOnce), room: semaphore.NewWeighted(pixelRoom),
		left: cache, kept: map[thumbKey]*list.Element{}, used: list.New(),
	}
}

// sideOf reads how many pixels a side a thumbnail may have. Few sizes are made, so that few are kept.
func sideOf(text string) (int, error) {
	sizes := []int{64, 128, 256, 512, 1024}
	if text == "" {
		return sizes[2], nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, Errorf(http.StatusBadRequest, "w is %q: it is how many pixels wide the picture is to be", text)
	}
	for _, s := range sizes {
		if n <= s {
			return s, nil
		}
	}
	return sizes[len(sizes)-1], nil
}

// get returns a thumbnail, from those that are kept or made anew.
func (t *thumbs) get(ctx context.Context, key string, side int) (thumb, error) {
	k := thumbKey{key, side}
	if found, ok := t.look(k); ok {
		return found, nil
	}
	if err := t.slots.Acquire(ctx, 1); err != nil {
		return thumb{}, err
	}
	defer t.slots.Release(1)
	if found, ok := t.look(k); ok { // made while this one waited
		return found, nil
	}
	file, err := t.pictures.Read(ctx, key, maxFile)
	if err != nil {
		return thumb{}, err
	}
	made, err := t.make(ctx, key, file, side)
	if err == nil {
		t.keep(k, made)
	}
	return made, err
}

// make makes a thumbnail of a picture's file.
func (t *thumbs) make(ctx context.Context, key string, file []byte, side int) (thumb, error) {
	contentType, ok := pictureType(file)
	if !ok {
		return thumb{}, notAPicture(key)
	}
	config, decode := decoder(contentType)
	size, err := config(bytes.NewReader(file))
	if err != nil {
		return thumb{}, Errorf(http.StatusUnsupportedMediaType, "%s is damaged: %w", key, err)
	}
	if size.Width <= side && size.Height <= side {
		return thumb{file, contentType}, nil
	}
	// What decoders of the three formats take at most: four bytes a pixel, and a copy in another form.
	weight := 8 * int64(size.Width) * int64(size.Height)
	if size.Width > 1<<15 || size.Height > 1<<15 || weight > pixelRoom {
		return thumb{}, errTooLarge
	}
	if err := t.room.Acquire(ctx, weight); err != nil {
		return thumb{}, err
	}
	defer t.room.Release(weight)
	full, err := decode(bytes.NewReader(file))
	if err != nil {
		return thumb{}, Errorf(http.StatusUnsupportedMediaType, "%s is damaged: %w", key, err)
	}
	scale := float64(side) / float64(max(size.Width, size.Height))
	small := image.NewRGBA(image.Rect(0, 0, max(1, int(scale*float64(size.Width)+0.5)), max(1, int(scale*float64(size.Height)+0.5))))
	draw.BiLinear.Scale(small, small.Bounds(), full, full.Bounds(), draw.Src, nil)
	var body bytes.Buffer
	if err := jpeg.Encode(&body, small, &jpeg.Options{Quality: thumbQuality}); err != nil {
		return thumb{}, err
	}
	return thumb{body.Bytes(), "image/jpeg"}, nil
}

// decoder returns the functions that read a format.
func decoder(contentType string) (config func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error)) {
	switch contentType {
	case "image/png":
		return png.DecodeConfig, png.Decode
	case "image/jpeg":
		return jpeg.DecodeConfig, jpeg.Decode
	default:
		return webp.DecodeConfig, webp.Decode
	}
}

// look returns a thumbnail that is kept.
func (t *thumbs) look(k thumbKey) (thumb, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.kept[k]
	if !ok {
		return thumb{}, false
	}
	t.used.MoveToFront(e)
	return e.Value.(thumbEntry).thumb, true
}

// keep keeps a thumbnail in the place of those that were not asked for longest.
func (t *thumbs) keep(k thumbKey, made thumb) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.kept[k]; there {
		return
	}
	t.kept[k] = t.used.PushFront(thumbEntry{k, made})
	t.left -= int64(len(made.body))
	for t.left < 0 {
		last := t.used.Back()
		old := t.used.Remove(last).(thumbEntry)
		delete(t.kept, old.key)
		t.left += int64(len(old.thumb.body))
	}
}
