package otel

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// backend is a service whose ways are known (docs/backends).
type backend struct {
	suffix string // of its hosts
	name   string
	header string // that carries the key, canonical
	key    string // what the key is, and where it may be wrong
}

var backends = []backend{
	{"nr-data.net", "New Relic", "Api-Key", "an ingest licence key; keys of EU accounts go to otlp.eu01.nr-data.net"},
	{"datadoghq.com", "Datadog", "Dd-Api-Key", "an API key of this site; other sites are otlp.datadoghq.eu, otlp.us3.datadoghq.com, …"},
	{"datadoghq.eu", "Datadog", "Dd-Api-Key", "an API key of the EU site"},
	{"grafana.net", "Grafana Cloud", "Authorization", "Basic%20 and base64 of instance id, colon and token, whose scopes are traces:write, metrics:write and logs:write"},
	{"api.honeycomb.io", "Honeycomb", "X-Honeycomb-Team", "an ingest key of an environment in the US"},
	{"api.eu1.honeycomb.io", "Honeycomb", "X-Honeycomb-Team", "an ingest key of an environment in the EU"},
}

// backendOf is the service behind a host; the zero value where it is none of those known.
func backendOf(host string) backend {
	for _, b := range backends {
		if host == b.suffix || strings.HasSuffix(host, "."+b.suffix) {
			return b
		}
	}
	return backend{}
}

// mend says what to do about a request that failed.
func mend(signal string, s Signal, e *exportError, seen *witness) string {
	path := "/v1/" + signal
	var dns *net.DNSError
	switch {
	case strings.Contains(e.Error(), "gRPC port"):
		return "this is the port of OTLP over gRPC: use that of OTLP over HTTP, which is 4318 where gRPC's is 4317"
	case errors.As(e, &dns):
		return "no such host: correct the endpoint"
	case e.reason == reasonConnection:
		return "nobody takes the connection: start the collector, or correct host and port (OTLP over HTTP is usually at 4318)"
	case e.reason == reasonTimeout:
		return "nothing comes back in time: a firewall, a collector that hangs, or too short an OTEL_EXPORTER_OTLP_TIMEOUT"
	case e.reason == reasonTLS && strings.Contains(e.Error(), "speaks http"):
		return "write http:// in the endpoint, or give the collector a certificate"
	case e.reason == reasonTLS:
		return "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file with the authority of the collector's certificate, and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _KEY if it wants one of ours"
	case e.reason == reasonAuth:
		return mendKey(s)
	case strings.Count(s.URL.Path, "/v1/") > 1:
		return fmt.Sprintf("the path is doubled: the signal's own endpoint is used as it stands, and should end in one %s", path)
	case e.reason == reasonNotFound && backendOf(s.URL.Hostname()).name == "Grafana Cloud" && !strings.HasPrefix(s.URL.Path, "/otlp"):
		return "Grafana Cloud's endpoint ends in /otlp"
	case e.reason == reasonNotFound, seen.code == http.StatusMethodNotAllowed:
		return fmt.Sprintf("nothing takes %s there: most collectors want %s; where this one takes no %s at all, set OTEL_%s_EXPORTER=none", signal, path, signal, strings.ToUpper(signal))
	case e.reason == reasonHTML:
		return "that is a web page: a login, a proxy, or the address of the user interface; the endpoint is another one"
	case e.reason == reasonRedirect:
		return "set the endpoint to where it leads: " + safeText(seen.location)
	case e.reason == reasonThrottled:
		return "the key works, and the quota is used up: wait, sample (OTEL_TRACES_SAMPLER), or ask for more"
	case e.reason == reasonUnavailable:
		return "the collector, or what stands behind it, is not ready: look there"
	case e.reason == reasonBadAnswer:
		return "something other than an OTLP collector listens there: correct the endpoint"
	}
	return "read what it answered; the collector's log may say more"
}

// mendKey says what to do about a key that is refused.
func mendKey(s Signal) string {
	b := backendOf(s.URL.Hostname())
	_, sent := s.Headers[b.header]
	switch {
	case b.name != "" && !sent:
		return fmt.Sprintf("%s wants the header %s in OTEL_EXPORTER_OTLP_HEADERS: %s", b.name, strings.ToLower(b.header), b.key)
	case b.name != "":
		return fmt.Sprintf("%s refuses the key in %s: it must be %s", b.name, strings.ToLower(b.header), b.key)
	case len(s.Headers) == 0:
		return "no header is sent, and it wants a key: set OTEL_EXPORTER_OTLP_HEADERS=name=value"
	case len(namesOf(s.Headers)) == 0:
		return "no header that is sent has a value: put the header's name and = before the key in OTEL_EXPORTER_OTLP_HEADERS"
	}
	return "the key is refused: check value and name of " + strings.Join(namesOf(s.Headers), ", ") + " in OTEL_EXPORTER_OTLP_HEADERS"
}

// doubts says what is likely to go wrong though the request was taken.
func doubts(signal string, s Signal, c Config) (mend string, err error) {
	b := backendOf(s.URL.Hostname())
	_, dataset := s.Headers["X-Honeycomb-Dataset"]
	switch {
	case b.name == "Datadog" && signal == signalMetrics && c.Temporality != temporalityDelta:
		return "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta", errors.New("cumulative metrics are refused by Datadog")
	case b.name == "Honeycomb" && signal == signalMetrics && !dataset:
		return "add x-honeycomb-dataset=stipple to OTEL_EXPORTER_OTLP_METRICS_HEADERS, beside the key: a signal's own headers replace the general ones",
			errors.New("metrics without a dataset are refused by Honeycomb")
	case s.URL.Scheme == "http" && len(s.Headers) > 0 && !isNeighbour(s.URL.Hostname()):
		return "write https:// in the endpoint", errors.New("headers, and so keys, travel in clear text over the internet")
	case signal == signalTraces && c.Sampler == samplerAlwaysOff:
		return "set OTEL_TRACES_SAMPLER=parentbased_always_on", errors.New("no trace is sampled (OTEL_TRACES_SAMPLER=always_off)")
	}
	return "", nil
}
