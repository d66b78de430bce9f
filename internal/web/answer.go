package web

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Times of a request.
const (
	readTime  = 15 * time.Second // to gather what is asked for
	writeTime = 60 * time.Second // to do what is asked for
	sendTime  = 2 * time.Minute  // to send a picture
)

// answer makes a handler of a function that returns what is to be sent as JSON.
func answer(get func(ctx context.Context, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readTime)
		defer cancel()
		body, err := get(ctx, r)
		if err != nil {
			fail(w, r, err)
			return
		}
		send(w, r, http.StatusOK, body)
	}
}

// failure is the body of every answer that is no success.
type failure struct {
	Error string `json:"error"`
}

// fail answers with an error.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	for _, name := range []string{"ETag", "Content-Length"} {
		h.Del(name)
	}
	send(w, r, statusOf(err), failure{err.Error()})
}

// send answers with JSON that nobody keeps.
func send(w http.ResponseWriter, r *http.Request, status int, body any) {
	data, err := json.Marshal(body) // which escapes <, > and &, so that a body that is taken for HTML is none
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	reply(w, r, append(data, '\n'))
}

// reply writes a body.
func reply(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method == http.MethodHead {
		return
	}
	// A client that has gone away has nobody to be told.
	_, _ = w.Write(body)
}
