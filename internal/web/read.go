package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// rendering keeps the newest state as JSON, which all clients get.
type rendering struct {
	mu   sync.Mutex
	of   *State
	json []byte
}

// render is the state as JSON.
func (s *Server) render(st *State) ([]byte, error) {
	r := &s.rendered
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == st && r.json != nil {
		return r.json, nil
	}
	full := *st
	full.ReadOnly, full.Version = s.readOnly(), s.cfg.Version
	data, err := json.Marshal(full)
	if err != nil {
		return nil, err
	}
	r.of, r.json = st, data
	return data, nil
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	data, err := s.render(s.cfg.News.State())
	if err != nil {
		fail(w, r, err)
		return
	}
	send(w, r, http.StatusOK, json.RawMessage(data))
}

func (s *Server) batch(ctx context.Context, r *http.Request) (any, error) {
	id, err := batchOf(r)
	if err != nil {
		return nil, err
	}
	return s.cfg.Records.Batch(ctx, id)
}

func (s *Server) images(ctx context.Context, r *http.Request) (any, error) {
	id, err := batchOf(r)
	if err != nil {
		return nil, err
	}
	q := ImageQuery{Batch: id}
	values := r.URL.Query()
	if q.After, q.Limit, err = position(values); err != nil {
		return nil, err
	}
	switch order := values.Get("order"); order {
	case "":
	case "new":
		q.Order = Newest
	default:
		return nil, Errorf(http.StatusBadRequest, "order is %q: it is new, or left out", order)
	}
	if from := values.Get("from"); from != "" {
		if q.Order != ByRecord || q.After != 0 {
			return nil, Errorf(http.StatusBadRequest, "from goes with neither after nor order: it names the first index")
		}
		q.Order = ByIndex
		if q.From, err = parseIndex(from); err != nil {
			return nil, err
		}
	}
	return s.cfg.Records.Images(ctx, q)
}

// landed are the images of all batches, the newest first.
func (s *Server) landed(ctx context.Context, r *http.Request) (any, error) {
	q := ImageQuery{Order: Newest}
	var err error
	if q.After, q.Limit, err = position(r.URL.Query()); err != nil {
		return nil, err
	}
	return s.cfg.Records.Images(ctx, q)
}

func (s *Server) job(ctx context.Context, r *http.Request) (any, error) {
	id, index, err := jobOf(r)
	if err != nil {
		return nil, err
	}
	return s.cfg.Records.Job(ctx, id, index)
}

func (s *Server) dead(ctx context.Context, r *http.Request) (any, error) {
	after, limit, err := position(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.cfg.Letters.Dead(ctx, after, limit)
}

// Entries of a page.
const (
	defaultLimit = 200
	maxLimit     = 1000
)

// position reads where a page begins and how long it is.
func position(values url.Values) (after uint64, limit int, err error) {
	if after, err = parseCursor(values.Get("after")); err != nil {
		return 0, 0, err
	}
	limit = defaultLimit
	if text := values.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			return 0, 0, Errorf(http.StatusBadRequest, "limit is %q: it is a number from 1 to %d", text, maxLimit)
		}
	}
	return after, limit, nil
}

// parseCursor reads a cursor, which an answer gave as next; "" begins.
func parseCursor(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, Errorf(http.StatusBadRequest, "after is %q: it is what an answer gave as next", text)
	}
	return n, nil
}

// batchOf is the batch in a request's path.
func batchOf(r *http.Request) (string, error) {
	id := r.PathValue("batch")
	if !isName(id, "_-") {
		return "", Errorf(http.StatusBadRequest, "%q is no batch: its id is 1 to 64 of A-Z a-z 0-9 _ -", id)
	}
	return id, nil
}

// jobOf is the job in a request's path.
func jobOf(r *http.Request) (batch string, index int64, err error) {
	if batch, err = batchOf(r); err != nil {
		return "", 0, err
	}
	index, err = parseIndex(r.PathValue("index"))
	return batch, index, err
}

// parseIndex reads the index of a job.
func parseIndex(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, Errorf(http.StatusBadRequest, "%q is no index of a job: it is a number from 0", text)
	}
	return n, nil
}

// isName reports whether s is 1 to 64 letters, digits and further characters.
func isName(s, more string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		default:
			found := false
			for _, m := range []byte(more) {
				found = found || c == m
			}
			if !found {
				return false
			}
		}
	}
	return true
}
