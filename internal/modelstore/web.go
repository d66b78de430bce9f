package modelstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// sumsFile lists the files of a folder with their SHA-256, as sha256sum prints them.
const sumsFile = "SHA256SUMS"

// mostSums bounds it.
const mostSums = 4 << 20

// webFolder is a folder on a web server, whose files a SHA256SUMS lists.
type webFolder struct {
	client *client
	url    *url.URL // ends in a slash
}

func (w *webFolder) close() {}

func (w *webFolder) list(ctx context.Context) (*listing, error) {
	resp, err := w.client.get(ctx, w.url.JoinPath(sumsFile).String(), nil)
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound {
		return nil, fmt.Errorf("there is no %s (make one in the model's folder: find . -type f ! -name %s | xargs sha256sum > %s): %w", sumsFile, sumsFile, sumsFile, errors.Join(errGone, err))
	}
	if err != nil {
		return nil, err
	}
	data, err := readAll(resp.Body, mostSums)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", sumsFile, err)
	}
	files, err := parseSums(data)
	if err != nil {
		return nil, err
	}
	if files, err = pick(files, ""); err != nil {
		return nil, err
	}
	return &listing{version: versionOf(string(data)), files: files}, nil
}

func (w *webFolder) open(ctx context.Context, f file, offset int64) (*contents, error) {
	return w.client.open(ctx, w.url.JoinPath(strings.Split((&url.URL{Path: f.from}).EscapedPath(), "/")...).String(), offset, "")
}

// parseSums reads a SHA256SUMS: `<hex>  name` or `<hex> *name` a line, `./` before a name left out.
func parseSums(data []byte) ([]file, error) {
	var files []file
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		digest, name, ok := strings.Cut(line, " ")
		if !ok || !isHex(digest, 64) || len(name) < 2 || (name[0] != ' ' && name[0] != '*') {
			return nil, fmt.Errorf("%s: line %d is not one of sha256sum", sumsFile, n)
		}
		name = strings.TrimPrefix(name[1:], "./")
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", sumsFile, n, err)
		}
		if name != sumsFile {
			files = append(files, file{name: name, size: -1, sum: sum{hex: digest}})
		}
	}
	return files, nil
}

// versionOf names a version by what tells it from others.
func versionOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:20])
}

// webArchive is an archive on a web server.
type webArchive struct {
	client *client
	source source
}

func (w *webArchive) close() {}

// list asks for the first byte alone: an address that is signed for GET answers no HEAD.
func (w *webArchive) list(ctx context.Context) (*listing, error) {
	resp, err := w.client.get(ctx, w.source.url.String(), http.Header{"Range": {"bytes=0-0"}})
	if status, ok := errors.AsType[*statusError](err); ok && (status.status == http.StatusNotFound || status.status == http.StatusGone) {
		return nil, errors.Join(errGone, err)
	}
	if err != nil {
		return nil, err
	}
	size := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		_, size, err = parseContentRange(resp.Header.Get("Content-Range"))
	}
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	etag := resp.Header.Get("ETag")
	f := file{name: "model" + w.source.suffix(), size: size}
	if strings.HasPrefix(etag, `"`) {
		f.etag = etag // a weak one stands for no bytes
	}
	return &listing{version: versionOf(fmt.Sprint(w.source.place(), "\n", etag, "\n", resp.Header.Get("Last-Modified"), "\n", size)), files: []file{f}, archive: w.source.suffix()}, nil
}

func (w *webArchive) open(ctx context.Context, f file, offset int64) (*contents, error) {
	return w.client.open(ctx, w.source.url.String(), offset, f.etag)
}
