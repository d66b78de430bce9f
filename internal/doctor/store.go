package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/stipple-ai/stipple/internal/upload"
)

// lookAtStore puts a probe object and tries with it what a worker, and who reads its pictures, do with theirs.
func (c Config) lookAtStore(ctx context.Context) []Check {
	if err := c.Store.Validate(); err != nil {
		if len(c.Settings) > 0 {
			return []Check{{AreaStore, "settings", Skipped, "see settings above", ""}}
		}
		return []Check{failed(AreaStore, "settings", err.Error(), "correct the setting that is named")}
	}
	s, err := upload.Open(ctx, c.Store, noop.NewTracerProvider().Tracer(""))
	if err != nil {
		return []Check{storeFailure("settings", err)}
	}
	defer s.Close()
	if err := s.Check(ctx); err != nil {
		return []Check{storeFailure("bucket", err)}
	}
	checks := []Check{{AreaStore, "bucket", OK, s.Bucket(), ""}, {Area: AreaStore, Name: "write", Status: OK}}
	can, _ := s.Capabilities() // known since Check
	for _, right := range []struct {
		name    string
		granted bool
		without upload.Capabilities // what else there is, so that only its warning is told
	}{
		{"conditional write", can.Conditional, upload.Capabilities{Read: can.Read, Delete: true, Encrypt: true}},
		{"read", can.Read, upload.Capabilities{Conditional: true, Delete: true, Encrypt: true}},
		{"delete", can.Delete, upload.Capabilities{Conditional: true, Read: true, Encrypt: true}},
		{"encryption", can.Encrypt, upload.Capabilities{Conditional: true, Read: true, Delete: true}},
	} {
		switch {
		case right.name == "encryption" && c.Store.SSE == "":
		case right.granted:
			checks = append(checks, Check{Area: AreaStore, Name: right.name, Status: OK})
		default:
			check := Check{Area: AreaStore, Name: right.name, Status: Warning, Detail: strings.Join(right.without.Warnings(), "; ")}
			check.Mend = lastSentence(check.Detail)
			checks = append(checks, check)
		}
	}
	if !can.Read {
		return append(checks, Check{AreaStore, "presign", Skipped, "the credentials may not read, so no link of theirs does", ""})
	}
	return append(checks, c.lookAtPresigning(ctx, s)...)
}

// Bounds of parts of the look at presigned links.
const (
	linkTime    = 20 * time.Second
	cleanUpTime = 5 * time.Second
)

// lookAtPresigning puts an object, reads it through a link that needs no credentials, and deletes it.
func (c Config) lookAtPresigning(ctx context.Context, s *upload.Store) []Check {
	const name = "presign"
	body := []byte(rand.Text())
	key := c.Store.Prefix + ".probe/doctor-" + string(body)
	if _, err := s.Put(ctx, key, upload.Object{Body: body, ContentType: "text/plain"}); err != nil {
		return []Check{storeFailure(name, err)}
	}
	checks := []Check{{AreaStore, name, OK, "a link can be read without credentials", ""}}
	if err := readLink(ctx, s, key, body); err != nil {
		checks[0] = Check{AreaStore, name, Warning, err.Error(), "links to pictures do not work from here: is AWS_ENDPOINT_URL_S3 the address that others reach, too, and its certificate trusted?"}
	}
	// Also where the link took all the time, or somebody told us to end: nothing is left behind.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if err := s.Delete(after, key); err != nil {
		if e, ok := errors.AsType[*upload.Error](err); !ok || e.Status != http.StatusForbidden { // told already
			checks = append(checks, storeFailure("clean-up", err))
		}
	}
	return checks
}

// readLink reads an object through a presigned link, which no error names: it is a secret while it lives.
func readLink(ctx context.Context, s *upload.Store, key string, want []byte) error {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	link, err := s.Presign(ctx, key, time.Minute)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return errors.New("the link is no URL")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("reading a link: %w", errors.Unwrap(err)) // without the URL that net/http puts before it
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("reading a link: %w", err)
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
		return fmt.Errorf("reading a link: answered %s", resp.Status)
	}
	return nil
}

// storeFailure is a check that failed. The store's errors say themselves what to do, after a colon.
func storeFailure(name string, err error) Check {
	check := failed(AreaStore, name, err.Error(), "check S3_BUCKET, AWS_REGION, AWS_ENDPOINT_URL_S3 and the credentials")
	if e, ok := errors.AsType[*upload.Error](err); ok {
		if m := reason.FindStringSubmatch(e.Reason); m != nil {
			check.Mend = m[1]
		}
	}
	return check
}

// reason finds the mend in "what is wrong (cause): what to do (the store's words)".
var reason = regexp.MustCompile(`^(?:[^(:]|:[^ ]|\([^)]*\))*: (.*?)(?: \(\d{3}\b[^)]*\))?$`)

// lastSentence is what a warning ends in: the mend.
func lastSentence(s string) string {
	return strings.TrimSpace(s[strings.LastIndex(s, ". ")+1:])
}
