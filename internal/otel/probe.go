package otel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// Answer is what a collector says to an empty request of one signal.
type Answer struct {
	Signal  string   // traces, metrics or logs
	URL     string   // where it was sent, without secrets; "" where the signal has no collector
	Headers []string // names of those sent with it, from the variables
	Detail  string   // the status and the kind of the answer, or why there was no request
	Err     error    // nil: telemetry will be taken. Its text holds no secret
	Warning bool     // Err costs something, and not all
	Mend    string   // what to do about Err
}

// Probe sends each signal's collector a request with a resource and nothing of
// it, on the way that telemetry will take, once. It returns what is wrong with
// the variables, too; of Options only Getenv and Transport count.
func Probe(ctx context.Context, o Options) ([]Problem, []Answer) {
	config, problems := ParseConfig(o.Getenv)
	if config.Disabled {
		return problems, []Answer{{Signal: "all", Detail: "off: OTEL_SDK_DISABLED is true"}}
	}
	// Nobody is told of losses here; what is wanted is that secrets stay out of texts.
	redact := newLosses(nil, secrets(config)).redact
	var all []Answer
	for _, s := range []struct {
		name   string
		signal Signal
	}{{signalTraces, config.Traces}, {signalMetrics, config.Metrics}, {signalLogs, config.Logs}} {
		a := Answer{Signal: s.name, Detail: destination(s.signal)}
		switch {
		case s.name == signalTraces && config.NoTracing:
			a.Detail = "off: ENABLE_TRACING is false"
		case s.signal.URL != nil:
			a = probeSignal(ctx, o.Transport, s.name, s.signal, redact)
			if a.Err == nil {
				a.Mend, a.Err = doubts(s.name, s.signal, config)
				a.Warning = a.Err != nil
			}
		case !s.signal.Console:
			a.Detail = fmt.Sprintf("not exported: neither OTEL_EXPORTER_OTLP_ENDPOINT nor OTEL_EXPORTER_OTLP_%s_ENDPOINT names a collector", strings.ToUpper(s.name))
		}
		all = append(all, a)
	}
	return problems, all
}

// probeSignal makes one request.
func probeSignal(ctx context.Context, base http.RoundTripper, name string, s Signal, redact func(error) string) Answer {
	a := Answer{Signal: name, URL: printableURL(s.URL), Headers: namesOf(s.Headers)}
	if base == nil {
		own := newTransport(s.TLS)
		defer own.CloseIdleConnections()
		base = own
	}
	seen := &witness{base: base}
	client := &http.Client{
		Transport: &transport{base: seen, url: s.URL, gzip: s.Gzip}, Timeout: s.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(emptyRequest()))
	if err != nil {
		a.Err = err
		return a
	}
	for header, value := range s.Headers {
		req.Header.Set(header, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := client.Do(req)
	a.Detail = seen.String()
	if err == nil {
		if _, err = io.Copy(io.Discard, resp.Body); err == nil {
			err = resp.Body.Close()
		}
	}
	if err == nil {
		return a
	}
	failed := classify(err)
	inner := error(failed)
	if e, ok := errors.AsType[*exportError](err); ok {
		inner = e.err // without the URL that net/http puts before it
	}
	a.Err = errors.New(redact(inner))
	a.Mend = redact(errors.New(mend(name, s, failed, seen))) // a redirect may repeat the query
	a.Warning = failed.reason == reasonThrottled || failed.reason == reasonUnavailable || failed.reason == reasonPartial
	return a
}

// emptyRequest is an export request of any signal, whose first fields are alike:
// resource_spans = 1 { resource = 1 { attributes = 1 } }, and no spans. A body of
// no bytes at all is the same to OTLP, but not to every proxy.
func emptyRequest() []byte {
	return within(nil, 1, func(b []byte) []byte {
		return within(b, 1, func(b []byte) []byte {
			return appendAttributes(b, 1, []attribute.KeyValue{attribute.String("service.name", "stipple-doctor")})
		})
	})
}

// witness notes the answer that passes through it.
type witness struct {
	base     http.RoundTripper
	status   string
	code     int
	kind     string // Content-Type
	location string
}

// RoundTrip implements [http.RoundTripper].
func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(req)
	if err == nil {
		w.status, w.code, w.kind, w.location = resp.Status, resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Location")
	}
	return resp, err
}

func (w *witness) String() string {
	if w.status == "" {
		return "no answer"
	}
	return "answered " + w.status + ", " + cmp.Or(w.kind, "no content type")
}
