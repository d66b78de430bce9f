package otlpd

import (
	"net/http"
	"strconv"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Mode decides how a request is answered, after its body has been read. It
// returns true when the telemetry shall be kept and answered as OTLP says;
// false when the answer has been given (or refused) and nothing is kept.
// It is called concurrently, in each request's goroutine.
type Mode func(w http.ResponseWriter, r *http.Request) bool

// Accept is the healthy collector.
func Accept(http.ResponseWriter, *http.Request) bool { return true }

// Hang takes the request and never answers: it ends when the client leaves or the server stops.
func Hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return false
}

// Slow answers after d, unless the client leaves first.
func Slow(d time.Duration) Mode {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-r.Context().Done():
			return false
		}
	}
}

// Respond answers with an HTTP status and a short text; a retryAfter above zero adds Retry-After in seconds.
func Respond(code int, retryAfter time.Duration) Mode {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		}
		http.Error(w, http.StatusText(code), code)
		return false
	}
}

// Echo answers with a status and a body that repeats the request's value
// of header, as some gateways do with the credentials they refuse.
func Echo(code int, header string) Mode {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "refused: "+r.Header.Get(header), code)
		return false
	}
}

// HTML answers 200 with a login page, as a proxy or a wrong host does.
func HTML(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	reply(w, []byte("<!doctype html><title>Sign in</title>"))
	return false
}

// Redirect answers 302 with a Location.
func Redirect(location string) Mode {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, location, http.StatusFound)
		return false
	}
}

// Garbage answers 200, says protobuf, and sends bytes that are none.
func Garbage(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", contentType)
	reply(w, []byte("\xff\xff\xff\xff garbage"))
	return false
}

// Close drops the connection without an answer.
func Close(http.ResponseWriter, *http.Request) bool {
	panic(http.ErrAbortHandler) // net/http's own way to drop a connection: it recovers this value silently
}

// Partial answers 200 with a partial success that rejects n items.
func Partial(n int64, message string) Mode {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		body, err := proto.Marshal(&coltracepb.ExportTraceServiceResponse{
			PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: n, ErrorMessage: message},
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return false
		}
		// With a parameter, as some gateways add one.
		w.Header().Set("Content-Type", contentType+"; charset=utf-8")
		reply(w, body)
		return false
	}
}

// reply writes an answer that nobody may be waiting for any more; a client
// that has left has its own error.
func reply(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }
