package modelstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// hub is a repository of the Hugging Face Hub, or of a mirror that speaks its protocol.
type hub struct {
	client *client
	source source
	commit string // set by list
}

func (h *hub) close() {}

// mostJSON bounds an answer that is read whole: a repository of 100 000 files has some 20 MB of them.
const mostJSON = 64 << 20

// list asks for the revision's commit and files, with their sizes and sums (`blobs=true`).
func (h *hub) list(ctx context.Context) (*listing, error) {
	resp, err := h.client.get(ctx, h.client.hubURL("/api/models/"+h.source.repo+"/revision/"+url.PathEscape(h.source.revision)+"?blobs=true"), nil)
	if err != nil {
		return nil, h.explain(err)
	}
	data, err := readAll(resp.Body, mostJSON)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("asking for the revision: %w", err)
	}
	var files []file
	if h.commit, files, err = parseRevision(data); err != nil {
		return nil, fmt.Errorf("asking for the revision: %w", err)
	}
	if files, err = pick(files, h.source.path); err != nil {
		return nil, err
	}
	return &listing{version: h.commit, files: files}, nil
}

// revisionInfo is the part of the Hub's answer that is needed.
type revisionInfo struct {
	SHA      string `json:"sha"`
	Siblings []struct {
		Name   string `json:"rfilename"`
		Size   *int64 `json:"size"`
		BlobID string `json:"blobId"`
		LFS    *struct {
			SHA256 string `json:"sha256"`
			Size   int64  `json:"size"`
		} `json:"lfs"`
	} `json:"siblings"`
}

// parseRevision reads the Hub's answer: the commit, and the files of the whole repository.
func parseRevision(data []byte) (string, []file, error) {
	var info revisionInfo
	if err := json.Unmarshal(data, &info); err != nil {
		return "", nil, fmt.Errorf("the answer is not the Hub's: %w", err)
	}
	if !commit.MatchString(info.SHA) {
		return "", nil, fmt.Errorf("the answer is not the Hub's: its commit is %q", info.SHA)
	}
	files := make([]file, 0, len(info.Siblings))
	for _, s := range info.Siblings {
		f := file{name: s.Name, size: -1}
		if s.Size != nil && *s.Size >= 0 {
			f.size = *s.Size
		}
		switch {
		case s.LFS != nil && isHex(s.LFS.SHA256, 64) && s.LFS.Size >= 0:
			f.size, f.sum = s.LFS.Size, sum{hex: s.LFS.SHA256}
		case s.LFS == nil && isHex(s.BlobID, 40) && f.size >= 0:
			f.sum = sum{git: true, hex: s.BlobID}
		}
		files = append(files, f)
	}
	return info.SHA, files, nil
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// open asks for a file at the commit. Large ones are redirected to another host, by an address that is good for a while.
func (h *hub) open(ctx context.Context, f file, offset int64) (*contents, error) {
	parts := strings.Split(f.from, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	c, err := h.client.open(ctx, h.client.hubURL("/"+h.source.repo+"/resolve/"+h.commit+"/"+strings.Join(parts, "/")), offset, "")
	if err != nil {
		return nil, h.explain(err)
	}
	if got := c.header("X-Repo-Commit"); got != "" && got != h.commit {
		return nil, errors.Join(fmt.Errorf("asked for commit %s, and the answer is of %s: is HF_ENDPOINT a cache that is out of date?", h.commit, got), c.body.Close())
	}
	if linked := strings.Trim(c.header("X-Linked-Etag"), `W/"`); isHex(linked, 64) {
		c.sum = sum{hex: linked}
	}
	return c, nil
}

// explain says what an answer of the Hub means. Its code stands in a header.
func (h *hub) explain(err error) error {
	var status *statusError
	if !errors.As(err, &status) {
		return err
	}
	var mend string
	switch {
	case status.code == "GatedRepo":
		mend = "the repository is gated: accept its terms on its page, and set HF_TOKEN to a token of that account"
	case status.code == "RevisionNotFound":
		return fmt.Errorf("there is no revision %q: %w", h.source.revision, errors.Join(errGone, err))
	case status.code == "EntryNotFound":
		mend = "the file is not there"
	case status.status == http.StatusUnauthorized && !h.client.hasToken():
		mend = "there is no such repository, or it is a private one: check the name, or set HF_TOKEN"
	case status.status == http.StatusUnauthorized:
		mend = "there is no such repository, or HF_TOKEN is not valid, or not one that may read it"
	case status.status == http.StatusForbidden:
		mend = "HF_TOKEN may not read the repository: give the token the right, or accept the repository's terms on its page"
	case status.status == http.StatusNotFound:
		mend = "there is no such repository or revision, or it is a private one: check the name, HF_ENDPOINT and HF_TOKEN"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", mend, err)
}
