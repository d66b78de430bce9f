package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	tryTimeout   = 5 * time.Second // for one request to the broker
	tryWaitMin   = 50 * time.Millisecond
	tryWaitMax   = 2 * time.Second
	absenceLimit = 30 * time.Second // while no stream answers: longer than a cluster takes to elect a leader, twice
)

// try runs op until it succeeds, fails for a reason that waiting does not mend, or ctx ends. Each run gets a
// context of its own. A broker that is away is waited for; a stream that does not answer is, for a time in
// which a cluster elects a leader, and then reported as ErrMissing. Errors are of type broker.
func (c *Client) try(ctx context.Context, doing string, op func(context.Context) error) error {
	return c.tryIn(ctx, c.tryTime, doing, op)
}

// tryIn is try with another time for each run.
func (c *Client) tryIn(ctx context.Context, limit time.Duration, doing string, op func(context.Context) error) error {
	wait := backoff{min: tryWaitMin, max: tryWaitMax}
	var absent absence
	for {
		once, cancel := context.WithTimeout(ctx, limit)
		err := op(once)
		cancel()
		if err == nil {
			return nil
		}
		if c.nc.IsClosed() {
			return &brokerError{doing, ErrClosed}
		}
		if !transient(err) {
			return &brokerError{doing, classify(err)}
		}
		if absent.tooLong(err, c.absence) {
			return &brokerError{doing, fmt.Errorf("no stream answers: %w", ErrMissing)}
		}
		if sleep(ctx, wait.next()) != nil {
			return &brokerError{doing, fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)}
		}
	}
}

// absence is since when no stream answers; zero while one does.
type absence struct{ since time.Time }

// tooLong takes the error of a try and reports whether all have failed, for longer than limit, because nobody listens.
func (a *absence) tooLong(err error, limit time.Duration) bool {
	switch {
	case !unanswered(err):
		a.since = time.Time{}
	case a.since.IsZero():
		a.since = time.Now()
	default:
		return time.Since(a.since) > limit
	}
	return false
}

// errAgain is what an op returns that lost a compare-and-swap and wants to look again.
var errAgain = errors.New("another client was faster")

// errUnsettled is a write that was refused because of one that the leader of a replicated stream has not stored yet.
var errUnsettled = errors.New("an earlier write is not stored yet")

// again turns the error of a lost compare-and-swap into errAgain.
func again(err error) error {
	if wrongLastSequence(err) {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return err
}

// unanswered reports whether nothing listens on the subject of a request.
func unanswered(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// transient reports whether the same request may succeed later with nobody doing anything about it.
func transient(err error) bool {
	for _, e := range []error{
		nats.ErrTimeout, context.DeadlineExceeded, context.Canceled, // try's own; it looks at the caller's context itself
		nats.ErrReconnectBufExceeded, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrStaleConnection,
		jetstream.ErrServerShutdown, jetstream.ErrConsumerLeadershipChanged, jetstream.ErrNoHeartbeat,
		errAgain, errUnsettled,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	// A write of more than a buffer meets the connection's end before the client has noticed it.
	if _, broken := errors.AsType[net.Error](err); broken || unanswered(err) {
		return true
	}
	switch apiCode(err) {
	case codeClusterNotAvail, codeClusterNotLeader, codeDuplicateInProcess, codeExpectedSeqNotReady, codeTooManyRequests,
		codeBatchIncomplete, codeBatchTooManyInflight, codeStreamOffline, codeConsumerOffline:
		return true
	}
	return false
}

// Codes of the JetStream API (nats-server, errors.json).
const (
	codeAccountResources     jetstream.ErrorCode = 10002 // resource limits exceeded for account
	codeClusterNotAvail      jetstream.ErrorCode = 10008
	codeClusterNotLeader     jetstream.ErrorCode = 10009
	codeServerResources      jetstream.ErrorCode = 10023 // insufficient resources
	codeMemoryResources      jetstream.ErrorCode = 10028
	codeStorageResources     jetstream.ErrorCode = 10047
	codeNoMessage            jetstream.ErrorCode = 10037
	codeMessageTooLarge      jetstream.ErrorCode = 10054
	codeSubjectOverlap       jetstream.ErrorCode = 10065
	codeWrongLastSequence    jetstream.ErrorCode = 10071
	codeStoreFailed          jetstream.ErrorCode = 10077 // the stream's limits are reached, or its disk is full
	codeStreamOffline        jetstream.ErrorCode = 10118
	codeConsumerOffline      jetstream.ErrorCode = 10119
	codeDuplicateInProcess   jetstream.ErrorCode = 10158 // a replicated stream has accepted the id and not stored it yet
	codeExpectedSeqNotReady  jetstream.ErrorCode = 10163
	codeWrongLastSequenceR3  jetstream.ErrorCode = 10164 // the same as 10071, from a replicated stream
	codeTooManyRequests      jetstream.ErrorCode = 10167
	codeBatchNotEnabled      jetstream.ErrorCode = 10174
	codeBatchIncomplete      jetstream.ErrorCode = 10176 // abandoned, as by a new leader
	codeBatchDuplicate       jetstream.ErrorCode = 10201
	codeBatchTooManyInflight jetstream.ErrorCode = 10210
)

// apiCode is the JetStream error code of err, 0 if it has none.
func apiCode(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	var js jetstream.JetStreamError
	if errors.As(err, &js) && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}

// full reports whether err is a stream, account or server without room for a message.
func full(err error) bool {
	switch apiCode(err) {
	case codeStoreFailed, codeAccountResources, codeServerResources, codeMemoryResources, codeStorageResources:
		return true
	}
	return false
}

// wrongLastSequence reports whether a compare-and-swap lost.
func wrongLastSequence(err error) bool {
	code := apiCode(err)
	return code == codeWrongLastSequence || code == codeWrongLastSequenceR3
}

// classify adds to an error of the broker what callers act on.
func classify(err error) error {
	switch {
	case full(err):
		return fmt.Errorf("%w: %w", ErrStreamFull, err)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("%w: %w", ErrMissing, err)
	case apiCode(err) == codeSubjectOverlap:
		return fmt.Errorf("%w; another stream of this account takes them: set QUEUE_PREFIX", err)
	}
	return err
}

// backoff is a wait that doubles from min to max. Of each wait a random fifth is taken off.
type backoff struct {
	min, max time.Duration
	current  time.Duration // 0 before the first
}

func (b *backoff) next() time.Duration {
	b.current = min(max(2*b.current, b.min), b.max)
	return b.current - rand.N(b.current/5+1)
}

func (b *backoff) reset() { b.current = 0 }

// sleep waits for d or until ctx ends, and returns ctx's error then.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
