package otel

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// configuration is one of the documentation: variables, and what they make the worker send.
type configuration struct {
	vars map[string]string
	want []string // lines of "POST <url> <headers> <temporality and histograms>", single spaces
}

var fence = regexp.MustCompile("(?s)```(sh|text)\n(.*?)```")

// configurations reads a page: each block of sh is followed by one of text.
func configurations(t *testing.T, page string) []configuration {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(data), -1)
	var out []configuration
	for i := 0; i < len(blocks); i += 2 {
		if i+1 == len(blocks) || blocks[i][1] != "sh" || blocks[i+1][1] != "text" {
			t.Fatalf("%s: block %d: want variables (sh) and what is sent (text) in turns", page, i)
		}
		c := configuration{vars: map[string]string{}}
		for line := range strings.Lines(blocks[i][2]) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if !ok || !strings.HasPrefix(name, "OTEL_") {
				t.Fatalf("%s: %q is no variable", page, line)
			}
			c.vars[name] = value
		}
		for line := range strings.Lines(blocks[i+1][2]) {
			c.want = append(c.want, strings.Join(strings.Fields(line), " "))
		}
		slices.Sort(c.want)
		out = append(out, c)
	}
	if len(out) == 0 {
		t.Errorf("%s has no configuration", page)
	}
	return out
}

// TestBackends holds that each configuration in docs/backends does what the page says: no complaint, these addresses,
// these headers, this temporality, gzip, and requests within the backend's limits.
func TestBackends(t *testing.T) {
	pages, err := filepath.Glob("../../docs/backends/*.md")
	if err != nil || len(pages) < 7 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		for i, c := range configurations(t, page) {
			t.Run(fmt.Sprint(filepath.Base(page), " ", i+1), func(t *testing.T) {
				certificates(t, c.vars)
				if _, problems := ParseConfig(getenv(c.vars)); len(problems) > 0 {
					t.Errorf("problems %v", problems)
				}
				if got := sent(t, c.vars); !slices.Equal(got, c.want) {
					t.Errorf("(-page +sent):\n%s", cmp.Diff(c.want, got))
				}
			})
		}
	}
}

// certificates puts real files in the place of those that a configuration names.
func certificates(t *testing.T, vars map[string]string) {
	t.Helper()
	if vars["OTEL_EXPORTER_OTLP_CERTIFICATE"] == "" {
		return
	}
	cert, key := keyPair(t)
	vars["OTEL_EXPORTER_OTLP_CERTIFICATE"], vars["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"], vars["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = cert, cert, key
}

// sent is what a run of jobs sends with these variables, in the page's form.
func sent(t *testing.T, vars map[string]string) []string {
	t.Helper()
	var mu sync.Mutex
	lines := map[string]bool{}
	collector := roundTrip(func(r *http.Request) (*http.Response, error) {
		line, err := describe(t, r, vars)
		mu.Lock()
		defer mu.Unlock()
		lines[line] = true
		return &http.Response{StatusCode: http.StatusAccepted, Status: "202 Accepted", Header: http.Header{}, Body: http.NoBody}, err
	})
	tel, log := setup(t, vars, func(o *Options) { o.Transport = collector })
	for range 100 {
		job(t.Context(), tel, nil)
	}
	records(t, tel, 1)
	if err := tel.Shutdown(context.Background()); err != nil {
		t.Errorf("%v; %s", err, log)
	}
	mu.Lock()
	defer mu.Unlock()
	var out []string
	for line := range lines {
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// describe reads one request.
func describe(t *testing.T, r *http.Request, vars map[string]string) (string, error) {
	t.Helper()
	zipped, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%s: headers %v, %v", r.URL, r.Header, err)
		return "", nil
	}
	body, err := io.ReadAll(z)
	if err != nil {
		return "", err
	}
	limit := 1_000_000 // New Relic's, the smallest
	words := []string{r.Method, r.URL.String()}
	for _, pair := range headerNames(vars, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]) {
		if r.Header.Get(pair) != "" {
			words = append(words, pair)
		}
	}
	if strings.HasSuffix(r.URL.Path, "/v1/metrics") {
		limit = 500_000 // Datadog's
		words = append(words, metricKinds(t, body)...)
	}
	if len(body) > limit {
		t.Errorf("a request of %d bytes to %s", len(body), r.URL)
	}
	return strings.Join(words, " "), nil
}

// headerNames are those that the variables set for a signal, in their order.
func headerNames(vars map[string]string, signal string) []string {
	value := vars["OTEL_EXPORTER_OTLP_"+strings.ToUpper(signal)+"_HEADERS"]
	if value == "" {
		value = vars["OTEL_EXPORTER_OTLP_HEADERS"]
	}
	var names []string
	for pair := range strings.SplitSeq(value, ",") {
		if name, _, ok := strings.Cut(pair, "="); ok {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

// metricKinds says of which temporality counters are, and whether histograms are exponential.
func metricKinds(t *testing.T, body []byte) []string {
	t.Helper()
	var req colmetricspb.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, rm := range req.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				switch {
				case m.GetName() == "worker.jobs" && m.GetSum().GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA:
					found["delta"] = true
				case m.GetName() == "worker.jobs":
					found["cumulative"] = true
				case m.GetExponentialHistogram() != nil:
					found["exponential"] = true
				}
			}
		}
	}
	var out []string
	for _, kind := range []string{"cumulative", "delta", "exponential"} {
		if found[kind] {
			out = append(out, kind)
		}
	}
	return out
}

// keyPair writes a certificate and its key.
func keyPair(t *testing.T) (cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	cert = writeCertificate(t, server)
	der, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return cert, key
}
