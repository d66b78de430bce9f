// Probe asks an address by HTTP and ends with 0 if the answer is 2xx, else with 1 and the reason. It is the HEALTHCHECK of
// images that have neither a shell nor an HTTP client.
//
//	probe http://127.0.0.1:9090/healthz
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// timeout is less than that of the health checks, so that the reason is told.
const timeout = 2 * time.Second

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("name one address, as in probe http://127.0.0.1:9090/healthz")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], http.NoBody)
	if err != nil {
		return err
	}
	// A proxy has no business between a container and itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 2 {
		return nil
	}
	why, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return errors.Join(fmt.Errorf("%s answers %s: %s", args[0], res.Status, strings.TrimSpace(string(why))), err)
}
