package otel

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// Nothing set: spans have ids, nothing leaves, nothing complains.
func TestSetupWithNothing(t *testing.T) {
	tel, log := setup(t, nil, nil)
	ctx, span := tel.Tracer().Start(t.Context(), "s")
	span.End()
	header := map[string][]string{}
	tel.Propagator.Inject(ctx, header)
	if len(TraceID(ctx)) != 32 || !strings.HasSuffix(header["traceparent"][0], "-01") {
		t.Errorf("trace %q, header %v", TraceID(ctx), header)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := log.String(); strings.Contains(got, "WARN") || strings.Count(got, "\n") != 1 {
		t.Errorf("log %s", got)
	}
	zero, err := Setup(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := zero.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Every variable wrong at once: a line each, and the worker runs.
func TestSetupWithEverythingWrong(t *testing.T) {
	vars := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "grpc://collector:4317", "OTEL_EXPORTER_OTLP_HEADERS": "hunter22hunter22",
		"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_BSP_MAX_QUEUE_SIZE": "-1", "OTEL_BSP_SCHEDULE_DELAY": "0",
		"OTEL_RESOURCE_ATTRIBUTES": "broken", "OTEL_PROPAGATORS": "smoke", "OTEL_SDK_DISABLED": "perhaps",
		"OTEL_METRIC_EXPORT_INTERVAL": "-1", "OTEL_SPAN_LINK_COUNT_LIMIT": "-1", "OTEL_BLRP_MAX_QUEUE_SIZE": "-1",
		"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "x", "OTEL_METRICS_EXEMPLAR_FILTER": "y",
	}
	for k, v := range vars {
		t.Setenv(k, v) // the SDK reads the real environment, too, and must keep quiet about it
	}
	log := &logbook{}
	tel, err := Setup(t.Context(), Options{Getenv: os.Getenv, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	spans(t, tel, 3)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	lines := log.lines(t, "telemetry configuration")
	if want := len(vars) - 1; len(lines) != want { // headers are not read where nothing is sent
		t.Errorf("%d lines, want %d: %s", len(lines), want, log)
	}
	if strings.Contains(log.String(), "hunter22") || len(log.lines(t, "telemetry warning")) != 0 {
		t.Errorf("log %s", log)
	}
}

// The SDK reads a certificate and headers from the environment whatever it is
// handed: it would refuse the one with http, and print the others.
func TestSDKsOwnReadingOfTheEnvironment(t *testing.T) {
	s := sink(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.Endpoint())
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", writeCertificate(t, httptest.NewTLSServer(http.NotFoundHandler())))
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter22%,x=1")
	t.Setenv("OTEL_EXPORTER_OTLP_INSECURE", "false")
	log := &logbook{}
	tel, err := Setup(t.Context(), Options{Getenv: os.Getenv, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	spans(t, tel, 1)
	records(t, tel, 1)
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Spans()) != 1 || len(s.Metrics()) == 0 || len(s.Logs()) != 1 {
		t.Errorf("%v, %d spans, %d metrics, %d log records", err, len(s.Spans()), len(s.Metrics()), len(s.Logs()))
	}
	for _, r := range s.Requests() {
		if r.Header.Get("Api-Key") != "hunter22%" || r.Header.Get("X") != "1" {
			t.Errorf("headers %v", r.Header)
		}
	}
	if strings.Contains(log.String(), "hunter22") || len(log.lines(t, "telemetry configuration")) != 3 {
		t.Errorf("log %s", log)
	}
}

// writeCertificate writes a test server's certificate to a file and closes it with the test.
func writeCertificate(t *testing.T, server *httptest.Server) string {
	t.Helper()
	t.Cleanup(server.Close)
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOwnCertificateAuthority(t *testing.T) {
	s := sink(t)
	server := httptest.NewTLSServer(s)
	tel, _ := setup(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE": writeCertificate(t, server),
		"OTEL_EXPORTER_OTLP_INSECURE": "true", // the scheme wins
	}, nil)
	spans(t, tel, 1)
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Spans()) != 1 {
		t.Errorf("%v, %d spans", err, len(s.Spans()))
	}
}

// A collector that wants to know who sends.
func TestClientCertificate(t *testing.T) {
	s := sink(t)
	server := httptest.NewUnstartedServer(s)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	cert, key := keyPair(t)
	tel, log := setup(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE": writeCertificate(t, server),
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
	}, nil)
	spans(t, tel, 1)
	records(t, tel, 1)
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Spans()) != 1 || len(s.Logs()) != 1 || len(s.Metrics()) == 0 {
		t.Errorf("%v, %d spans, %d log records, %d metrics; log %s", err, len(s.Spans()), len(s.Logs()), len(s.Metrics()), log)
	}
}

func TestConsole(t *testing.T) {
	out := &logbook{}
	tel, _ := setup(t, map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "console"},
		func(o *Options) { o.Console = out })
	spans(t, tel, 1)
	records(t, tel, 1)
	exercise(t.Context(), tel.Metrics)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"Name":"s"`, `"worker.jobs"`, `"record"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("console lacks %s", want)
		}
	}
}

// The endpoint's escapes and query reach the wire, which the SDK's own client would not do.
func TestExactAddress(t *testing.T) {
	s := sink(t)
	tel, log := setup(t, tracesOnly(s.Endpoint()+"/a%2Fb?token=hunter22"), nil)
	spans(t, tel, 1)
	err := tel.Shutdown(t.Context())
	if got := s.Requests()[0].Path; got != "/a%2Fb/v1/traces?token=hunter22" {
		t.Errorf("path %s", got)
	}
	if err == nil || strings.Contains(err.Error()+log.String(), "hunter22") {
		t.Errorf("%v, log %s", err, log)
	}
}

// Spans with bytes that are no UTF-8 must not cost the batch they ride in.
func TestText(t *testing.T) {
	s := sink(t)
	tel, _ := setup(t, tracesOnly(s.Endpoint()), nil)
	bad := attribute.String("bad", "a\xffb")
	_, span := tel.Tracer().Start(t.Context(), "na\xffme", trace.WithAttributes(bad),
		trace.WithLinks(trace.Link{SpanContext: trace.SpanContextFromContext(Propagator{}.Extract(t.Context(), map[string][]string{"traceparent": {parent}}, nil)), Attributes: []attribute.KeyValue{bad}}))
	span.SetAttributes(attribute.String("long", strings.Repeat("é", 5000)), attribute.StringSlice("list", []string{"\xff", "ok"}),
		attribute.Map("map", attribute.Slice("in", attribute.StringValue("\xff"))), attribute.Int("int", 1))
	span.AddEvent("ev\xffent", trace.WithAttributes(bad))
	Fail(span, errors.New("bad \xff byte"), "x\xff")
	span.End()
	spans(t, tel, 1)
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Spans()) != 2 {
		t.Fatalf("%v, %d spans", err, len(s.Spans()))
	}
	got := s.Spans()[0]
	if n := utf8.RuneCountInString(got.Attributes["long"].(string)); n != 4095 {
		t.Errorf("%d characters", n)
	}
	delete(got.Attributes, "long")
	want := map[string]any{
		"bad": "a\uFFFDb", "list": []any{"\uFFFD", "ok"}, "error.type": "x\uFFFD", "int": int64(1),
		"map": map[string]any{"in": []any{"\uFFFD"}},
	}
	if diff := cmp.Diff(want, got.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got.Name != "na\uFFFDme" || got.Status.Message != "bad \uFFFD byte" || got.Events[0].Name != "ev\uFFFDent" ||
		got.Events[0].Attributes["bad"] != "a\uFFFDb" || got.Links[0].Attributes["bad"] != "a\uFFFDb" {
		t.Errorf("span %+v", got)
	}
}

func TestSampling(t *testing.T) {
	for sampler, want := range map[string]int{"always_off": 0, "always_on": 20, "parentbased_always_off": 0, "traceidratio": 20} {
		s := sink(t)
		vars := tracesOnly(s.Endpoint())
		vars["OTEL_TRACES_SAMPLER"] = sampler
		tel, _ := setup(t, vars, nil)
		spans(t, tel, 20)
		if err := tel.Shutdown(t.Context()); err != nil || len(s.Spans()) != want {
			t.Errorf("%s: %v, %d spans", sampler, err, len(s.Spans()))
		}
	}
}

// What is exported and what is logged holds no key, no prompt and no signed URL, whatever goes wrong.
func TestNoSecretLeaves(t *testing.T) {
	const key, prompt, signature, password = "c3VwZXJzZWNyZXQ", "a red panda at dusk", "X-Amz-Signature", "pa55word"
	var payload bytes.Buffer
	var logs strings.Builder
	for _, mode := range []otlpd.Mode{otlpd.Accept, otlpd.Echo(401, "Authorization"), otlpd.Echo(400, "Authorization"), otlpd.HTML, otlpd.Garbage} {
		s := sink(t)
		s.SetMode(mode)
		vars := tracesOnly(s.Endpoint())
		delete(vars, "OTEL_METRICS_EXPORTER")
		delete(vars, "OTEL_LOGS_EXPORTER")
		log := &logbook{}
		tel, _ := setup(t, vars, func(o *Options) { o.Logger = slog.New(LogHandler(log.logger().Handler())) })
		ctx, span := tel.Tracer().Start(t.Context(), SpanTextToImage, trace.WithAttributes(PromptLength.Int(utf8.RuneCountInString(prompt))))
		failure := errors.New(`Put "https://b.s3.test/k.png?` + signature + `=abc": reset`)
		Fail(span, failure, "storage")
		tel.Logger().With(slog.Any("earlier", failure)).ErrorContext(ctx, failure.Error(), slog.Any("error", failure),
			slog.Group("of", slog.String("url", failure.Error())), slog.String("broker", "nats://me:"+password+"@broker:4222"))
		exercise(ctx, tel.Metrics)
		span.End()
		err := tel.Shutdown(context.Background())
		logs.WriteString(log.String())
		if err != nil {
			logs.WriteString(err.Error())
		}
		for _, r := range s.Requests() {
			payload.Write(r.Body)
		}
	}
	for _, want := range []string{"prompt.length", "worker.jobs", "nats://[redacted]@broker:4222"} {
		if !bytes.Contains(payload.Bytes(), []byte(want)) {
			t.Errorf("%s was not exported", want)
		}
	}
	for _, secret := range []string{key, prompt, signature, password} {
		if bytes.Contains(payload.Bytes(), []byte(secret)) || strings.Contains(logs.String(), secret) {
			t.Errorf("%s leaves the process", secret)
		}
	}
}
