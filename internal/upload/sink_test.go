package upload

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// sinkVariable makes the test binary a store that takes everything, so that its CPU time is not the client's.
const sinkVariable = "STIPPLE_TEST_SINK"

// serveSink says on standard output where it listens and serves until standard input is closed.
func serveSink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header()["X-Amz-Request-Id"] = []string{"4442587FB7D0A2F9"}
		w.Header()["Etag"] = []string{`"d41d8cd98f00b204e9800998ecf8427e"`}
	})}
	fmt.Println(l.Addr())
	go func() { // ends with standard input
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			panic(err)
		}
		if err := server.Close(); err != nil {
			panic(err)
		}
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
