package otel

import (
	"crypto/tls"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Signal is where one signal goes. Nothing is exported where URL is nil and Console is false.
type Signal struct {
	Console bool              // to the writer of Options.Console
	URL     *url.URL          // final address, path included, without credentials; nil: no OTLP
	Headers map[string]string // secret
	Gzip    bool
	Timeout time.Duration // of one attempt
	TLS     *tls.Config   // nil: the system's roots, no client certificate
}

// Exported says whether the signal leaves the process.
func (s Signal) Exported() bool { return s.Console || s.URL != nil }

// signal reads what concerns one signal: its own variables where set, else the general ones.
func (e *env) signal(name, path string) Signal {
	var s Signal
	otlp := true
	exporters := "OTEL_" + name + "_EXPORTER"
	if list := e.list(exporters); len(list) > 0 {
		known := []string{"otlp", "console", "none"}
		if name == "METRICS" {
			known = append(known, "prometheus") // always there, at /metrics
		}
		if slices.ContainsFunc(list, func(x string) bool { return !slices.Contains(known, x) }) {
			e.problemf(exporters, "has an unknown exporter; known are %s; left out, otlp where nothing is left", strings.Join(known, ", "))
			list = slices.DeleteFunc(list, func(x string) bool { return !slices.Contains(known, x) })
			if len(list) == 0 {
				list = []string{"otlp"}
			}
		}
		none := slices.Contains(list, "none")
		s.Console = !none && slices.Contains(list, "console")
		otlp = !none && slices.Contains(list, "otlp")
	}
	s.Gzip, s.Timeout = true, 10*time.Second
	if !otlp {
		return s
	}
	const general = "OTEL_EXPORTER_OTLP_"
	own := general + name + "_"
	// of names the variable that rules: the signal's own, else the general one.
	of := func(suffix string) string {
		if e.get(own+suffix) != "" {
			return own + suffix
		}
		return general + suffix
	}
	endpoint := of("ENDPOINT")
	if e.get(endpoint) == "" {
		return s // the design's deviation from the standard's localhost:4318: no endpoint, no export, no complaint
	}
	var credentials string
	s.URL, credentials = e.endpoint(endpoint, of("INSECURE"), path, endpoint == own+"ENDPOINT")
	if s.URL == nil {
		return s
	}
	s.Headers = e.headers(of("HEADERS"))
	if _, set := s.Headers["Authorization"]; credentials != "" && !set {
		s.Headers["Authorization"] = credentials
	}
	s.Gzip = e.oneOf(of("COMPRESSION"), "gzip", "none") == "gzip"
	s.Timeout = e.timeout(of("TIMEOUT"), s.Timeout, time.Millisecond, 10*time.Minute)
	e.oneOf(of("PROTOCOL"), "http/protobuf") // anything else is a problem, and http/protobuf is sent
	s.TLS = e.tls(s.URL.Scheme, of("CERTIFICATE"), of("CLIENT_CERTIFICATE"), of("CLIENT_KEY"))
	return s
}
