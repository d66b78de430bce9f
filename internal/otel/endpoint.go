package otel

import (
	"encoding/base64"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// endpoint reads the address in variable name. The general endpoint gets the
// signal's path appended; a signal's own endpoint is used as it stands, as the
// standard says. Credentials in the address come back as an Authorization
// value. A nil URL means that nothing can be exported.
func (e *env) endpoint(name, insecureVar, path string, own bool) (u *url.URL, credentials string) {
	raw := strings.TrimPrefix(e.get(name), "//")
	lower := strings.ToLower(raw)
	added := ""
	if !strings.Contains(raw, "://") {
		if strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:") {
			return e.noURL(name)
		}
		added = e.guessScheme(raw, insecureVar)
		raw = added + "://" + raw
	}
	u, err := url.Parse(raw)
	// The error's text may hold a password; what is wanted says enough.
	if err != nil || u.Hostname() == "" || !validPort(u.Port()) {
		return e.noURL(name)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		e.problemf(name, "scheme %q is not spoken; want http(s)://host[:port][/path]; nothing is exported there", printable(u.Scheme))
		return nil, ""
	}
	if added == "" {
		e.checkInsecure(insecureVar, u.Scheme)
	}
	if u.User != nil {
		password, _ := u.User.Password() // none is an empty one
		credentials = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
		u.User = nil
	}
	u.Fragment, u.RawFragment = "", ""

	switch {
	case own && u.Path == "":
		e.problemf(name, "has no path, and a signal's own endpoint is used as it stands: sending to %q; most collectors want /%s", "/", path)
		u.Path = "/"
	case !own:
		base := strings.TrimRight(u.EscapedPath(), "/")
		for _, doubled := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
			if cut, ok := strings.CutSuffix(base, doubled); ok {
				e.problemf(name, "ends in %s, which each signal appends itself; taken off", doubled)
				base = cut
				break
			}
		}
		// The path was parsed from u, so it parses again. Without the slash JoinPath would make a relative one.
		if p, err := url.PathUnescape(base + "/"); err == nil {
			u.Path, u.RawPath = p, base+"/"
		}
		u = u.JoinPath(path)
	}
	if added != "" {
		e.problemf(name, "has no scheme; using %s://%s", added, u.Host)
	}
	return u, credentials
}

func (e *env) noURL(name string) (*url.URL, string) {
	e.problemf(name, "is not a URL; want http(s)://host[:port][/path]; nothing is exported there")
	return nil, ""
}

// guessScheme chooses for an address without a scheme: what INSECURE says; else
// https, unless the host is plainly a neighbour, so that no key goes to the internet in clear text.
func (e *env) guessScheme(address, insecureVar string) string {
	if e.get(insecureVar) != "" {
		if e.flag(insecureVar, false) {
			return "http"
		}
		return "https"
	}
	hostport, _, _ := strings.Cut(address, "/")
	if i := strings.LastIndexByte(hostport, '@'); i >= 0 {
		hostport = hostport[i+1:]
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if port == "443" || !isNeighbour(strings.ToLower(host)) {
		return "https"
	}
	return "http"
}

// isNeighbour says whether a host is on this machine or a private network.
func isNeighbour(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() // 0.0.0.0, copied from where a collector listens
	}
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{".local", ".localhost", ".internal", ".svc", ".lan"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// checkInsecure notes an INSECURE that contradicts the endpoint's scheme. The
// scheme wins: the SDK would send keys in clear text to an https endpoint.
func (e *env) checkInsecure(name, scheme string) {
	if e.get(name) == "" {
		return
	}
	if insecure := e.flag(name, scheme == "http"); insecure != (scheme == "http") {
		e.problemf(name, "contradicts the endpoint's scheme, which wins: %s", scheme)
	}
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// printableURL is an address without what may be secret in it: credentials and query.
func printableURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
