package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 4 << 20

// write makes a handler of a function that changes something: it refuses on a read-only page, and takes JSON alone, so
// that no form of another site is one.
func (s *Server) write(do func(ctx context.Context, r *http.Request, body []byte) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.readOnly() {
			fail(w, r, Errorf(http.StatusForbidden, "this page is read-only: start it with --write to submit, cancel and put back from here"))
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			fail(w, r, err)
			return
		}
		ctx, cancel := committed(r)
		defer cancel()
		done, err := do(ctx, r, body)
		if err != nil {
			fail(w, r, err)
			return
		}
		send(w, r, http.StatusOK, done)
	}
}

// readBody reads a body of JSON.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, Errorf(http.StatusUnsupportedMediaType, "the body is %q: send application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, Errorf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes: enqueue --file takes any number of jobs", maxBody)
	}
	if err != nil {
		return nil, Errorf(http.StatusBadRequest, "reading the body: %w", err)
	}
	return body, nil
}

// decode reads an object of JSON whose members are all known. An empty body is an empty object.
func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return Errorf(http.StatusBadRequest, "the body cannot be read: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Errorf(http.StatusBadRequest, "the body cannot be read: something stands behind the object")
	}
	return nil
}

// jobsBody is the body of POST /api/jobs, unless that is a job itself.
type jobsBody struct {
	Jobs     []json.RawMessage `json:"jobs"`
	Priority string            `json:"priority"`
	Batch    string            `json:"batch"`
}

// readJobs reads a job, or several with what they have in common. What a job may hold is for Orders to judge.
func readJobs(body []byte) (Order, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return Order{}, Errorf(http.StatusBadRequest, "the body is no job: send its JSON, or {\"jobs\": […]}")
	}
	if _, several := members["jobs"]; !several {
		return Order{Jobs: []json.RawMessage{body}}, nil
	}
	var b jobsBody
	if err := decode(body, &b); err != nil {
		return Order{}, err
	}
	if len(b.Jobs) == 0 {
		return Order{}, Errorf(http.StatusBadRequest, "jobs is empty: send at least one")
	}
	return Order{Batch: b.Batch, Priority: b.Priority, Jobs: b.Jobs}, nil
}

func (s *Server) submitJobs(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	o, err := readJobs(body)
	if err != nil {
		return nil, err
	}
	return s.cfg.Orders.Submit(ctx, o)
}

// gridBody is the body of POST /api/grids.
type gridBody struct {
	Job  json.RawMessage `json:"job"`
	Axes struct {
		X *axisBody `json:"x"`
		Y *axisBody `json:"y"`
		Z *axisBody `json:"z"`
	} `json:"axes"`
	Priority string `json:"priority"`
	Batch    string `json:"batch"`
}

// axisBody is an axis as it is sent: values are strings and numbers.
type axisBody struct {
	Field  string            `json:"field"`
	Values []json.RawMessage `json:"values"`
}

// readGrid reads a grid: x goes fastest, as pictures stand in a row.
func readGrid(body []byte) (Order, error) {
	var b gridBody
	if err := decode(body, &b); err != nil {
		return Order{}, err
	}
	if len(b.Job) == 0 {
		b.Job = json.RawMessage("{}")
	}
	o := Order{Batch: b.Batch, Priority: b.Priority, Jobs: []json.RawMessage{b.Job}}
	for _, a := range []struct {
		name string
		axis *axisBody
	}{{"z", b.Axes.Z}, {"y", b.Axes.Y}, {"x", b.Axes.X}} {
		if a.axis == nil {
			continue
		}
		axis := Axis{Field: a.axis.Field}
		for _, v := range a.axis.Values {
			text, ok := scalar(v)
			if !ok {
				return Order{}, Errorf(http.StatusBadRequest, "axis %s has a value that is neither a string nor a number", a.name)
			}
			axis.Values = append(axis.Values, text)
		}
		if len(axis.Values) == 0 {
			return Order{}, Errorf(http.StatusBadRequest, "axis %s has no values", a.name)
		}
		o.Axes = append(o.Axes, axis)
	}
	if len(o.Axes) == 0 {
		return Order{}, Errorf(http.StatusBadRequest, "a grid has axes x, y or z: send at least one")
	}
	return o, nil
}

// scalar is a string or a number of JSON as text; a number keeps all its digits.
func scalar(value json.RawMessage) (text string, ok bool) {
	if err := json.Unmarshal(value, &text); err == nil && len(value) > 0 && value[0] == '"' {
		return text, true
	}
	var n json.Number
	if err := json.Unmarshal(value, &n); err != nil || n == "" {
		return "", false
	}
	return n.String(), true
}

func (s *Server) submitGrid(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	o, err := readGrid(body)
	if err != nil {
		return nil, err
	}
	return s.cfg.Orders.Submit(ctx, o)
}

// Answers of writes.
type (
	cancelled struct {
		Cancelled int64 `json:"cancelled"`
	}
	retried struct {
		Jobs int64 `json:"jobs"`
	}
	requeued struct {
		Requeued int64 `json:"requeued"`
	}
	pausing struct {
		Paused    bool     `json:"paused"`
		Consumers []string `json:"consumers"`
	}
)

func (s *Server) cancelBatch(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	id, err := batchOf(r)
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Controls.Cancel(ctx, id, -1)
	return cancelled{n}, err
}

func (s *Server) cancelJob(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	id, index, err := jobOf(r)
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Controls.Cancel(ctx, id, index)
	return cancelled{n}, err
}

// Jobs that may be put back.
const (
	RetryFailed  = "failed"
	RetryMissing = "missing"
)

func (s *Server) retryBatch(ctx context.Context, r *http.Request, body []byte) (any, error) {
	id, err := batchOf(r)
	if err != nil {
		return nil, err
	}
	var b struct {
		What string `json:"what"`
	}
	if err := decode(body, &b); err != nil {
		return nil, err
	}
	if b.What != RetryFailed && b.What != RetryMissing {
		return nil, Errorf(http.StatusBadRequest, "what is %q: it is %s or %s", b.What, RetryFailed, RetryMissing)
	}
	n, err := s.cfg.Orders.Retry(ctx, id, -1, b.What)
	return retried{n}, err
}

func (s *Server) retryJob(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	id, index, err := jobOf(r)
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Orders.Retry(ctx, id, index, RetryFailed)
	return retried{n}, err
}

func (s *Server) requeueOne(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return s.requeue(ctx, []string{r.PathValue("id")})
}

func (s *Server) requeueSome(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var b struct {
		IDs []string `json:"ids"`
	}
	if err := decode(body, &b); err != nil {
		return nil, err
	}
	if len(b.IDs) == 0 || len(b.IDs) > maxLimit {
		return nil, Errorf(http.StatusBadRequest, "ids names %d dead letters: name 1 to %d", len(b.IDs), maxLimit)
	}
	return s.requeue(ctx, b.IDs)
}

func (s *Server) requeue(ctx context.Context, ids []string) (any, error) {
	letters := make([]uint64, len(ids))
	for i, id := range ids {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil || n == 0 {
			return nil, Errorf(http.StatusBadRequest, "%q is no dead letter: its id is a number, as /api/dead lists it", id)
		}
		letters[i] = n
	}
	n, err := s.cfg.Orders.Requeue(ctx, letters)
	return requeued{n}, err
}

func (s *Server) pauseModel(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return s.pause(ctx, r, true)
}

func (s *Server) resumeModel(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return s.pause(ctx, r, false)
}

func (s *Server) pause(ctx context.Context, r *http.Request, on bool) (any, error) {
	model := r.PathValue("model")
	if !isName(model, "._-") {
		return nil, Errorf(http.StatusBadRequest, "%q is no name of a model", model)
	}
	consumers, err := s.cfg.Controls.Pause(ctx, model, on)
	return pausing{on, nonNil(consumers)}, err
}
