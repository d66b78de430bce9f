package upload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
)

// putMode is how a PUT makes sure that it replaces nothing.
type putMode int32

const (
	modeUnknown     putMode = iota
	modeConditional         // If-None-Match: * on the PUT
	modeLookFirst           // HEAD, then a plain PUT: two writers may pass each other, with equal pixels
)

// Conditional reports whether the store keeps If-None-Match, which is known after the first Check or Put.
func (s *Store) Conditional() (conditional, known bool) {
	mode := putMode(s.mode.Load())
	return mode == modeConditional, mode != modeUnknown
}

// putMode finds out how to put, once in the life of a Store.
func (s *Store) putMode(ctx context.Context) (putMode, error) {
	if mode := putMode(s.mode.Load()); mode != modeUnknown {
		return mode, nil
	}
	select {
	case <-s.probing:
		defer func() { s.probing <- struct{}{} }()
	case <-ctx.Done():
		return modeUnknown, classify(ctx, "probing", s.target(s.config.Prefix), ctx.Err(), nil)
	}
	if mode := putMode(s.mode.Load()); mode != modeUnknown { // found out by the one waited for
		return mode, nil
	}
	mode, err := s.probe(ctx)
	if err != nil {
		return modeUnknown, err
	}
	s.mode.Store(int32(mode))
	return mode, nil
}

// probe puts an object twice on the condition that nothing is there. The second put must be refused; a store without the
// condition says so (501) or takes it, and then the object is read back, because a web server that answers everything with
// 200 is not a store.
func (s *Store) probe(ctx context.Context) (putMode, error) {
	name := rand.Text()
	key := s.config.Prefix + ".probe/" + name
	request := putRequest{key: key, body: []byte(name), contentType: "text/plain", conditional: true}
	for try := 0; ; try++ {
		err := s.putOnce(ctx, request)
		switch status := statusOf(err); {
		case status == http.StatusNotImplemented:
			return modeLookFirst, nil
		case status == http.StatusPreconditionFailed:
			// Refused at the first try, the SDK has sent it twice and the first one arrived: the condition holds as well.
			return modeConditional, s.removeProbe(ctx, key)
		case err != nil:
			return modeUnknown, err
		case try == 1:
			got, err := s.Get(ctx, key)
			if err != nil && !errors.Is(err, ErrUnknown) {
				return modeUnknown, err
			}
			if err == nil && !bytes.Equal(got.Body, request.body) {
				return modeUnknown, &Error{Doing: "probing", Target: s.target(key), Type: TypeConfig,
					Reason: "what was put cannot be read back: this is no S3 API, correct AWS_ENDPOINT_URL_S3"}
			}
			return modeLookFirst, s.removeProbe(ctx, key)
		}
	}
}

// removeProbe deletes the probe. Credentials that may not delete leave a few bytes behind; that is no reason not to work.
func (s *Store) removeProbe(ctx context.Context, key string) error {
	err := s.Delete(ctx, key)
	if statusOf(err) == http.StatusForbidden {
		return nil
	}
	return err
}

// statusOf is the HTTP status in an *Error, or 0.
func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}
