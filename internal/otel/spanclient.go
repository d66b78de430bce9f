package otel

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanClient makes one attempt to export spans. It stands in for the SDK's
// exporter, which spends three quarters of its time and all of its garbage on
// building messages to marshal; every job has eight spans. Metrics and logs are
// few, and theirs are the SDK's.
type spanClient struct {
	http   *http.Client
	url    string
	header http.Header
	gzip   bool
	buffer []byte // of the last request, for the next: there is one export at a time
}

func newSpanClient(c *http.Client, s Signal, version string) *spanClient {
	header := http.Header{}
	header.Set("User-Agent", "OTel-OTLP-Exporter-Go/stipple-"+version)
	for name, value := range s.Headers {
		header.Set(name, value)
	}
	header.Set("Content-Type", "application/x-protobuf")
	return &spanClient{http: c, url: printableURL(s.URL), header: header, gzip: s.Gzip}
}

// ExportSpans implements [sdktrace.SpanExporter].
func (c *spanClient) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	c.buffer = appendSpans(c.buffer[:0], spans)
	body := c.buffer // read to its end by our transport, which compresses it
	if !c.gzip {
		body = slices.Clone(body) // which net/http may still read when the next request is made
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("exporting spans: %w", err)
	}
	req.Header = c.header.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("exporting spans: %w", err)
	}
	return resp.Body.Close()
}

// Shutdown implements [sdktrace.SpanExporter]: there is nothing to end.
func (c *spanClient) Shutdown(context.Context) error { return nil }

var _ sdktrace.SpanExporter = (*spanClient)(nil)
