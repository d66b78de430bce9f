package otel

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// env reads variables and gathers what is wrong with them.
type env struct {
	getenv   func(string) string
	problems []Problem
}

// problemf notes what is wrong with a variable, once however many signals read it.
func (e *env) problemf(variable, format string, args ...any) {
	p := Problem{variable, fmt.Sprintf(format, args...)}
	if !slices.Contains(e.problems, p) {
		e.problems = append(e.problems, p)
	}
}

// get returns a variable without surrounding space and without the quotes that
// docker's env files and YAML leave around a value. Empty is unset, as the standard says.
func (e *env) get(name string) string { return unquote(e.getenv(name)) }

func unquote(v string) string {
	v = strings.TrimSpace(v)
	if n := len(v); n >= 2 && v[0] == v[n-1] && (v[0] == '"' || v[0] == '\'') {
		v = strings.TrimSpace(v[1 : n-1])
	}
	return v
}

// list reads a comma-separated variable, lower case.
func (e *env) list(name string) []string {
	var out []string
	for v := range strings.SplitSeq(e.get(name), ",") {
		if v = strings.ToLower(strings.TrimSpace(v)); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// oneOf reads an enumeration without regard to case; values[0] is the default.
func (e *env) oneOf(name string, values ...string) string {
	v := strings.ToLower(e.get(name))
	if v == "" || slices.Contains(values, v) {
		if v == "" {
			return values[0]
		}
		return v
	}
	e.problemf(name, "%q is not one of %s; using %s", printable(v), strings.Join(values, ", "), values[0])
	return values[0]
}

// flag reads a boolean; the standard knows true and false and nothing else.
func (e *env) flag(name string, def bool) bool {
	switch strings.ToLower(e.get(name)) {
	case "":
		return def
	case "true":
		return true
	case "false":
		return false
	default:
		e.problemf(name, "is neither true nor false; using %t", def)
		return def
	}
}

// millis reads a duration in whole milliseconds and clamps it.
func (e *env) millis(name string, def, low, high time.Duration) time.Duration {
	v := e.get(name)
	if v == "" {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		e.problemf(name, "%q is not a whole number of milliseconds; using %d", printable(v), def.Milliseconds())
		return def
	}
	// Clamped before the multiplication, which could overflow.
	d := time.Duration(min(max(n, low.Milliseconds()), high.Milliseconds())) * time.Millisecond
	if d.Milliseconds() != n {
		e.problemf(name, "%d is out of range (%d to %d ms); using %d", n, low.Milliseconds(), high.Milliseconds(), d.Milliseconds())
	}
	return d
}

// timeout is millis for a time to wait for others. Zero or less would leave none, so the default serves better than the lowest.
func (e *env) timeout(name string, def, low, high time.Duration) time.Duration {
	if n, err := strconv.ParseInt(e.get(name), 10, 64); err == nil && n <= 0 {
		e.problemf(name, "%d leaves no time; using %d", n, def.Milliseconds())
		return def
	}
	return e.millis(name, def, low, high)
}

// size reads a count. Below low it is nonsense, and the default serves better
// than the lowest; above high it is clamped.
func (e *env) size(name string, def, low, high int) int {
	v := e.get(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	switch {
	case err != nil:
		e.problemf(name, "%q is not a whole number; using %d", printable(v), def)
		return def
	case n < low:
		e.problemf(name, "%d is below %d; using %d", n, low, def)
		return def
	case n > high:
		e.problemf(name, "%d is above %d; using %d", n, high, high)
		return high
	}
	return n
}

// ratio reads a share between 0 and 1; 1 where it is unset or bad.
func (e *env) ratio(name string) float64 {
	v := e.get(name)
	if v == "" {
		return 1
	}
	r, err := strconv.ParseFloat(v, 64)
	if err != nil || !(r >= 0 && r <= 1) { // the negation catches NaN
		e.problemf(name, "%q is not a number from 0 to 1; using 1", printable(v))
		return 1
	}
	return r
}

// tls reads the certificate files of an endpoint. A file that cannot be used
// leaves the defaults in its place: the connection will say what it lacks, and the worker runs on.
func (e *env) tls(scheme, caVar, certVar, keyVar string) *tls.Config {
	ca, cert, key := e.get(caVar), e.get(certVar), e.get(keyVar)
	if ca == "" && cert == "" && key == "" {
		return nil
	}
	if scheme != "https" {
		for _, v := range []string{caVar, certVar, keyVar} {
			if e.get(v) != "" {
				e.problemf(v, "the endpoint is http, which has no certificates; ignored")
			}
		}
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		pool := x509.NewCertPool()
		switch {
		case err != nil:
			e.problemf(caVar, "%v; using the system's roots", err)
		case !pool.AppendCertsFromPEM(pem):
			e.problemf(caVar, "%s holds no PEM certificate; using the system's roots", ca)
		default:
			c.RootCAs = pool
		}
	}
	switch {
	case cert == "" && key == "":
	case cert == "":
		e.problemf(keyVar, "a key needs a certificate in %s; ignored", certVar)
	case key == "":
		e.problemf(certVar, "a certificate needs its key in %s; ignored", keyVar)
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			e.problemf(certVar, "%v; connecting without a client certificate", err)
			break
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}
