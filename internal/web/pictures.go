package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// image streams a picture from the store as it is.
func (s *Server) image(w http.ResponseWriter, r *http.Request) {
	key, err := keyOf(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sendTime)
	defer cancel()
	body, err := s.cfg.Pictures.Open(ctx, key)
	if err != nil {
		fail(w, r, err)
		return
	}
	defer body.Close()
	head := make([]byte, headLength)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		fail(w, r, Errorf(http.StatusBadGateway, "reading %s from the store: %w", key, err))
		return
	}
	contentType, ok := pictureType(head[:n])
	if !ok {
		fail(w, r, notAPicture(key))
		return
	}
	// Without such a deadline a client that does not read would hold the store's connection.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		s.log.DebugContext(ctx, "a client that does not read is not cut off", slog.Any("error", err))
	}
	keep(w, contentType)
	if r.Method == http.MethodHead {
		return
	}
	// An error here is a client or a store that went away in the middle: the answer is cut short, which the client sees.
	if _, err := io.Copy(w, io.MultiReader(bytes.NewReader(head[:n]), body)); err != nil && ctx.Err() == nil {
		panic(http.ErrAbortHandler) // so that half a picture is not taken for one
	}
}

// thumb serves a picture of at most so many pixels a side.
func (s *Server) thumb(w http.ResponseWriter, r *http.Request) {
	key, err := keyOf(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	side, err := sideOf(r.URL.Query().Get("w"))
	if err != nil {
		fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTime)
	defer cancel()
	t, err := s.thumbs.get(ctx, key, side)
	if errors.Is(err, errTooLarge) {
		http.Redirect(w, r, "/image/"+pathOf(key), http.StatusTemporaryRedirect) //nolint:gosec // to a path of this page, each part of it escaped
		return
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	keep(w, t.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(t.body)))
	reply(w, r, t.body)
}

// keep says that a browser may keep a picture for good: what lies under a key never changes.
func keep(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
}

// keyOf is the key in a request's path. A store whose objects are files must not be led out of its folder.
func keyOf(r *http.Request) (string, error) {
	key := r.PathValue("key")
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\\\x00") {
			return "", Errorf(http.StatusNotFound, "%q is no key of a picture", key)
		}
	}
	return key, nil
}

// pathOf is a key in a path of the page.
func pathOf(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// headLength is how many bytes pictureType looks at.
const headLength = 12

// pictureType is the content type of a file by its first bytes; ok is false for what is none of the three that workers
// draw. A browser is told this one, whatever the store says.
func pictureType(head []byte) (contentType string, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png", true
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return "image/jpeg", true
	case len(head) >= headLength && bytes.HasPrefix(head, []byte("RIFF")) && string(head[8:12]) == "WEBP":
		return "image/webp", true
	}
	return "", false
}

func notAPicture(key string) error {
	return Errorf(http.StatusUnsupportedMediaType, "%s is neither PNG, JPEG nor WebP: another program has written it", key)
}
