package upload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
)

// Capabilities are what a store and its credentials allow besides the PUT, without which Check fails. Without them jobs
// are done all the same, and Warnings says what that costs.
type Capabilities struct {
	Conditional bool // the store keeps If-None-Match: *
	Read        bool // the credentials may read objects: HEAD and GET
	Delete      bool // and delete them
	Encrypt     bool // the store says that it encrypts as S3_SSE asks; true where nothing is asked
}

// Warnings are what the missing capabilities cost and how to mend that, a line each.
func (c Capabilities) Warnings() []string {
	var warnings []string
	switch {
	case c.Conditional:
	case c.Read:
		warnings = append(warnings, "the store does not keep If-None-Match: each image is looked for before it is put, but two workers that hold one job at the same moment "+
			"can both put it. There is still one object, with the same picture; it may carry the other attempt's trace id. A store with conditional writes prevents that")
	default:
		warnings = append(warnings, "the store does not keep If-None-Match, and the credentials may not look whether an image is there: a job that is repeated puts its image again. "+
			"There is still one object, with the same picture; it may carry another attempt's trace id. Allow s3:GetObject, or choose a store with conditional writes")
	}
	if !c.Encrypt {
		warnings = append(warnings, "the store took S3_SSE and does not say that it encrypts: some do not know server-side encryption and say nothing. "+
			"Ask the store's operator, or encrypt the bucket by default and unset S3_SSE")
	}
	if !c.Read {
		warnings = append(warnings, "the credentials may put objects but not read them: a job whose image is there already is drawn again, its result may name another attempt's trace id, "+
			"and no checkpoint is gone on with. Allow s3:GetObject on the bucket's objects")
	}
	if !c.Delete {
		warnings = append(warnings, "the credentials may not delete objects: probes and checkpoints stay. Allow s3:DeleteObject on the bucket's objects, or let a rule of the bucket "+
			"end what lies under .probe/ and .checkpoints/")
	}
	return warnings
}

// Capabilities are what the first Check or Put that reached the store found out. known is false before.
func (s *Store) Capabilities() (c Capabilities, known bool) {
	if found := s.found.Load(); found != nil {
		return *found, true
	}
	return Capabilities{}, false
}

// capabilities finds out what the store can do, once in the life of a Store.
func (s *Store) capabilities(ctx context.Context) (Capabilities, error) {
	if c, known := s.Capabilities(); known {
		return c, nil
	}
	select {
	case <-s.probing:
		defer func() { s.probing <- struct{}{} }()
	case <-ctx.Done():
		return Capabilities{}, classify(ctx, "probing", s.target(s.config.Prefix), ctx.Err(), nil)
	}
	if c, known := s.Capabilities(); known { // found out by the one waited for
		return c, nil
	}
	c, err := s.probe(ctx)
	if err != nil {
		return Capabilities{}, err
	}
	s.found.Store(&c)
	return c, nil
}

// probe puts an object, tries to put it again on the condition that nothing is there, reads it back and deletes it.
func (s *Store) probe(ctx context.Context) (Capabilities, error) {
	name := rand.Text()
	request := putRequest{key: s.config.Prefix + ".probe/" + name, body: []byte(name), contentType: "text/plain"}
	var c Capabilities
	conditional, encryption, err := s.probePut(ctx, request)
	if err != nil {
		return Capabilities{}, err
	}
	c.Conditional, c.Encrypt = conditional, s.config.SSE == "" || s.config.SSE == encryption
	if c.Read, err = s.probeRead(ctx, request); err != nil {
		return Capabilities{}, err
	}
	err = s.Delete(ctx, request.key)
	if err != nil && statusOf(err) != http.StatusForbidden {
		return Capabilities{}, err
	}
	c.Delete = err == nil
	return c, nil
}

// probePut puts the object, and reports whether a condition was kept and which encryption the store says it used. A store
// without conditions refuses them (501) or ignores them, so that a second put succeeds like the first.
func (s *Store) probePut(ctx context.Context, request putRequest) (conditional bool, encryption string, err error) {
	request.conditional = true
	encryption = s.config.SSE // where the first answer is lost, and only the second put's refusal comes: nothing is known against it
	for range 2 {
		used, err := s.putOnce(ctx, request)
		switch status := statusOf(err); {
		case status == http.StatusNotImplemented:
			request.conditional = false // is it the condition that is not implemented?
			used, err := s.putOnce(ctx, request)
			return false, used, err
		case status == http.StatusPreconditionFailed:
			return true, encryption, nil
		case err != nil:
			return false, "", err
		}
		encryption = used
	}
	return false, encryption, nil
}

// probeRead reads the object. What cannot be found, or is something else, was not put into an S3 store: a web server that
// answers everything with 200 is none.
func (s *Store) probeRead(ctx context.Context, request putRequest) (read bool, err error) {
	_, err = s.Head(ctx, request.key)
	var got Object
	if err == nil {
		got, err = s.Get(ctx, request.key)
	}
	switch {
	case errors.Is(err, ErrUnknown):
		return false, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged), err == nil && !bytes.Equal(got.Body, request.body):
		return false, &Error{Doing: "probing", Target: s.target(request.key), Type: TypeConfig, Err: err,
			Reason: "what was put cannot be read back: this is no S3 API, correct AWS_ENDPOINT_URL_S3"}
	}
	return err == nil, err
}

// statusOf is the HTTP status in an *Error, or 0.
func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}
