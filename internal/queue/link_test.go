package queue

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// link is a network between a client and its broker: TCP, taken through this process. carry is told of what the client
// sends, and an error breaks the connection.
type link struct {
	listener net.Listener
	broker   string
	carry    func(n int) error

	running sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
}

// connectBy returns a client whose broker is behind a link.
func connectBy(t *testing.T, s *natsd.Server, carry func(n int) error) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, broker: strings.TrimPrefix(s.URL(), "nats://"), carry: carry}
	l.running.Go(l.accept)
	t.Cleanup(l.close)
	c, err := Connect(t.Context(), Config{URL: "nats://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.shut)
	return c
}

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		broker, err := net.Dial("tcp", l.broker)
		if err != nil {
			_ = client.Close() // as if nobody had answered
			continue
		}
		// A small buffer, so that who sends knows how slow it goes. It fails for no connection that is there.
		_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
		l.mu.Lock()
		l.conns = append(l.conns, client, broker)
		l.mu.Unlock()
		l.running.Go(func() { l.copy(broker, client, l.carry) })
		l.running.Go(func() { l.copy(client, broker, func(int) error { return nil }) })
	}
}

// copy carries what one side sends, until the connection of either ends.
func (l *link) copy(to, from net.Conn, carry func(n int) error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err == nil {
			err = carry(n)
		}
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			for _, conn := range []net.Conn{to, from} {
				_ = conn.(*net.TCPConn).SetLinger(0) // a reset: nothing that is under way arrives
				_ = conn.Close()                     // perhaps closed
			}
			return
		}
	}
}

func (l *link) close() {
	_ = l.listener.Close() // once
	l.mu.Lock()
	for _, conn := range l.conns {
		_ = conn.Close() // perhaps closed
	}
	l.mu.Unlock()
	l.running.Wait()
}

// wordy is a chunk of so many jobs with the longest prompts.
func wordy(n int) []Message {
	all := chunk(0, n)
	for i := range all {
		all[i].Job.Prompt = new(strings.Repeat("cat ", MaxPrompt/4))
	}
	return all
}

// TestPublishChunkOverASlowLink: a chunk gets through that takes longer than a request may.
func TestPublishChunkOverASlowLink(t *testing.T) {
	t.Parallel()
	s, direct := newQueue(t, Layout{})
	const rate = 8 << 20 // bytes a second
	c := connectBy(t, s, func(n int) error {
		time.Sleep(time.Duration(n) * time.Second / rate)
		return nil
	})
	c.tryTime = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if ack, err := c.PublishChunk(ctx, wordy(ChunkSize), 0); err != nil || ack.Sequence != ChunkSize {
		t.Errorf("%+v, %v", ack, err)
	}
	if n := everStored(t, direct); n != ChunkSize {
		t.Errorf("%d messages were stored, want %d", n, ChunkSize)
	}
}

// TestPublishChunkOverABrokenLink: a connection that breaks in the middle of a chunk is waited for.
func TestPublishChunkOverABrokenLink(t *testing.T) {
	t.Parallel()
	s, direct := newQueue(t, Layout{})
	var mu sync.Mutex
	carried, breaks := 0, 3
	c := connectBy(t, s, func(n int) error {
		mu.Lock()
		defer mu.Unlock()
		if carried += n; carried > 200<<10 && breaks > 0 {
			carried, breaks = 0, breaks-1
			return io.ErrClosedPipe
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if ack, err := c.PublishChunk(ctx, wordy(ChunkSize), 0); err != nil || ack.Sequence != ChunkSize {
		t.Errorf("%+v, %v", ack, err)
	}
	if n := everStored(t, direct); n != ChunkSize {
		t.Errorf("%d messages were stored, want %d", n, ChunkSize)
	}
}
