package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets the page load and call what it is served with, and nothing else; scripts and styles in line are none.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard puts the checks of safety around a handler, the cheapest first.
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, Errorf(http.StatusForbidden, "this request comes from another site, %q: changes are made from the page itself", r.Header.Get("Origin")))
	}))
	next = origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if !s.answersTo(r) {
			fail(w, r, Errorf(http.StatusMisdirectedRequest, "this page was asked for as %q, which is none of its names: "+
				"open it as localhost, or start it with --host and that name", r.Host))
			return
		}
		if s.cookie != "" && !s.admit(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answersTo reports whether a request's Host header names this page: the loopback interface, the very address that was
// connected to, or a name that was given. A name of somebody else's that leads here is DNS rebinding: to the browser that
// somebody and this page would be one site.
func (s *Server) answersTo(r *http.Request) bool {
	name, ok := hostName(r.Host)
	if !ok {
		return false
	}
	if name == "localhost" || s.hosts[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	if ip = ip.Unmap(); ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().WithZone("") == ip
}

// hostName is the name in a Host header, in lower case, without port, brackets and the dot of the root.
func hostName(host string) (name string, ok bool) {
	if strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1 {
		before, port, err := net.SplitHostPort(host)
		switch {
		case err == nil && isPort(port):
			host = before
		case err == nil:
			return "", false
		case strings.HasSuffix(host, "]"):
			host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		default:
			return "", false
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || strings.ContainsAny(host, "/@ []%") {
		return "", false
	}
	return host, true
}

// isPort reports whether text is a port's number.
func isPort(text string) bool {
	return text != "" && len(text) <= 5 && strings.Trim(text, "0123456789") == ""
}

// cookieName is where a client keeps that it has shown the token.
const cookieName = "stipple_page"

// cookieOf is what a client that has shown a token keeps: it proves that the token was known, and is none itself.
func cookieOf(token string) string {
	if token == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("stipple page")) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// admit lets a request through that knows the token: in its Authorization header, by the cookie, or in the address,
// which is then taken out of it. It answers the others.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && same(bearer, s.cfg.Token) {
		return true
	}
	if kept, err := r.Cookie(cookieName); err == nil && same(kept.Value, s.cookie) {
		return true
	}
	if given := r.URL.Query().Get("token"); r.Method == http.MethodGet && r.URL.Path == "/" && given != "" && same(given, s.cfg.Token) {
		//nolint:gosec // Secure where there is TLS: without, a browser would not send it back
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.cookie, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return false
	}
	fail(w, r, Errorf(http.StatusUnauthorized, "this page wants its token: open /?token=… once, or send it as Authorization: Bearer …"))
	return false
}

// same compares in a time that tells nothing.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
