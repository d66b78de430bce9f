package otel

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// headers reads OTEL_EXPORTER_OTLP_HEADERS and its like: name=value pairs
// separated by commas, values percent-decoded. Keys are canonical. Neither
// names nor values are ever printed: a key pasted without its name looks like a name.
func (e *env) headers(variable string) map[string]string {
	out := map[string]string{}
	for i, pair := range strings.Split(e.get(variable), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue // a trailing comma
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		switch {
		case !ok:
			e.problemf(variable, "pair %d has no =; want name=value, and %%2C for a comma inside a value; left out", i+1)
			continue
		case !isToken(name):
			e.problemf(variable, "the name of pair %d is no HTTP header name; want name=value; left out", i+1)
			continue
		}
		value = strings.TrimSpace(value)
		if decoded, err := url.PathUnescape(value); err == nil {
			value = strings.TrimSpace(decoded)
		} else {
			e.problemf(variable, "the value of pair %d has a bad percent-escape; taken literally (write %% as %%25)", i+1)
		}
		value = unquote(value)
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			e.problemf(variable, "the value of pair %d has a control character, which no header may have; left out", i+1)
			continue
		}
		name = http.CanonicalHeaderKey(name)
		switch name {
		case "Host", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection":
			e.problemf(variable, "pair %d sets %s, which belongs to the exporter; left out", i+1, name)
			continue
		}
		out[name] = value
	}
	return out
}

// namesOf are the names of headers, in order. One without a value is left out: a key in base64, pasted without its
// name, ends in = and so looks like a name.
func namesOf(headers map[string]string) []string {
	names := slices.Sorted(maps.Keys(headers))
	return slices.DeleteFunc(names, func(name string) bool { return strings.Trim(headers[name], "=") == "" })
}

// isToken is RFC 7230's token: what a header name may be made of.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r >= 0x7f || r <= ' ' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
