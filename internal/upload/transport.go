package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// minRate is the slowest transfer that is waited for, in bytes a second. Slower than this, a picture of 2 MB would
// take longer than a whole lease.
const minRate = 64 << 10

// writeBuffer lets a small picture and its headers leave in one write. A larger one goes on past the buffer.
const writeBuffer = 64 << 10

// attemptClient gives every attempt its own deadline, and notes for the caller's span what was asked and answered.
// It is the HTTP client of the SDK; retries are above it.
type attemptClient struct {
	client  *http.Client
	timeout time.Duration
	rate    int64        // minRate
	offset  atomic.Int64 // what to add to this machine's clock to have the store's, by its last answer
}

// newAttemptClient wraps a transport, which it owns.
func newAttemptClient(transport *http.Transport, c Config) *attemptClient {
	transport.ResponseHeaderTimeout = c.AttemptTimeout
	transport.MaxIdleConns = c.Uploads
	transport.MaxIdleConnsPerHost = c.Uploads
	transport.WriteBufferSize = writeBuffer
	return &attemptClient{
		timeout: c.AttemptTimeout,
		rate:    minRate,
		client: &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			switch req.Response.StatusCode {
			case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
				return nil // these keep method and body: a new bucket's name may not be known everywhere yet
			}
			return http.ErrUseLastResponse // the SDK reads the error in it
		}},
	}
}

// Do sends one attempt. The body of its response must be read within the deadline too.
func (c *attemptClient) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	d := &deadline{cancel: cancel, after: c.timeout + c.transferTime(req.ContentLength)}
	d.timer = time.AfterFunc(d.after, d.fire)
	call := callFrom(ctx)
	call.sent(req)
	resp, err := c.client.Do(req.WithContext(ctx))
	if err != nil {
		d.stop()
		if req.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded) { // ResponseHeaderTimeout
			err = &timeoutError{after: c.timeout}
		}
		return nil, d.explain(err)
	}
	call.answered(resp)
	c.readClock(resp)
	if resp.ContentLength == 0 { // nothing to wait for, and nothing to copy
		resp.Body = http.NoBody
		d.stop()
		return resp, nil
	}
	d.timer.Reset(c.timeout + c.transferTime(resp.ContentLength))
	resp.Body = &deadlineBody{ReadCloser: resp.Body, deadline: d}
	return resp, nil
}

// readClock notes what time the store says it is, unless a cache kept the answer.
func (c *attemptClient) readClock(resp *http.Response) {
	if resp.Header.Get("Age") != "" {
		return
	}
	if now, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.offset.Store(int64(time.Until(now)))
	}
}

// clockOffset is what to add to this machine's clock for a signature: nothing while it is about right, since the store's
// time is known to the second only.
func (c *attemptClient) clockOffset() time.Duration {
	if offset := time.Duration(c.offset.Load()); offset.Abs() > skewThreshold {
		return offset
	}
	return 0
}

// closeIdle closes the connections that wait for the next call.
func (c *attemptClient) closeIdle() { c.client.CloseIdleConnections() }

// transferTime is how long n bytes may take; 0 for an unknown length.
func (c *attemptClient) transferTime(n int64) time.Duration {
	return time.Duration(float64(max(n, 0)) / float64(c.rate) * float64(time.Second))
}

// deadline cancels an attempt when its time is up, and remembers that it did.
type deadline struct {
	after  time.Duration
	cancel context.CancelFunc
	timer  *time.Timer
	fired  atomic.Bool
}

func (d *deadline) fire() {
	d.fired.Store(true)
	d.cancel()
}

func (d *deadline) stop() {
	d.timer.Stop()
	d.cancel()
}

// explain turns the cancellation by the deadline into a timeout, which the SDK tries again.
func (d *deadline) explain(err error) error {
	if d.fired.Load() {
		return &timeoutError{after: d.after}
	}
	return err
}

// deadlineBody is a response body that ends with its attempt.
type deadlineBody struct {
	io.ReadCloser
	deadline *deadline
}

func (b *deadlineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.deadline.explain(err)
	}
	return n, err
}

func (b *deadlineBody) Close() error {
	err := b.ReadCloser.Close()
	b.deadline.stop()
	return err
}

// timeoutError is an attempt that took longer than it may.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string   { return fmt.Sprintf("no answer within %v", e.after) }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// call collects what the attempts of one SDK call did. The zero value and nil are ready for use.
type call struct {
	settings []string // names of optional settings that the request carries; see Config.options

	mu        sync.Mutex
	attempts  int
	host      string // of the last attempt, with its port if the URL has one
	status    int    // of the last answer; 0 if there was none
	requestID string
	region    string // the bucket's, where an answer named it
}

type callKey struct{}

// withCall returns a context in which attempts are noted.
func withCall(ctx context.Context) (context.Context, *call) {
	c := &call{}
	return context.WithValue(ctx, callKey{}, c), c
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call) // absent is nil, which notes nothing
	return c
}

func (c *call) sent(req *http.Request) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts++
	c.host, c.status, c.requestID, c.region = req.URL.Host, 0, "", ""
}

func (c *call) answered(resp *http.Response) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = resp.StatusCode
	c.requestID = resp.Header.Get("X-Amz-Request-Id")
	c.region = resp.Header.Get("X-Amz-Bucket-Region")
}
