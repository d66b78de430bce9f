package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// brokerWire is the network between one worker and one broker: a TCP proxy that reads the NATS protocol as it passes, so
// that the edges of jobs can be told from outside, and that can stall and be cut.
//
// serve is one goroutine, each connection has two; stop ends them all and waits for them.
type brokerWire struct {
	target   string // host:port of the broker
	worker   *worker
	edges    *edges
	valve    *valve // shared by all brokers of a worker
	listener net.Listener

	ctx     context.Context //nolint:containedctx // ends with stop, and with it whatever waits at an edge
	end     context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	conns map[*net.TCPConn]struct{}
}

// newBrokerWire listens on a port of its own, which stays the same for all lives of the worker.
func newBrokerWire(target string, w *worker, e *edges, v *valve) (*brokerWire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("making a way to the broker: %w", err)
	}
	ctx, end := context.WithCancel(context.Background()) // ended by stop
	b := &brokerWire{target: target, worker: w, edges: e, valve: v, listener: l, ctx: ctx, end: end, conns: map[*net.TCPConn]struct{}{}}
	b.running.Go(b.serve)
	return b, nil
}

func (b *brokerWire) addr() string { return b.listener.Addr().String() }

func (b *brokerWire) stop() {
	b.end()
	_ = b.listener.Close() // serve then ends, which is all that is wanted
	b.reset()
	b.running.Wait()
}

// reset cuts every connection: both sides get a reset, and what was on its way is lost.
func (b *brokerWire) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		abort(c)
	}
}

// abort closes a connection so that its peer sees a reset.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0) // on a connection that is gone already nothing is left to reset
	_ = c.Close()
}

func (b *brokerWire) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil { // stopped
			return
		}
		b.running.Go(func() { b.relay(conn.(*net.TCPConn)) })
	}
}

// relay carries one connection until either side ends it. A broker that is away is a connection that ends at once.
func (b *brokerWire) relay(client *net.TCPConn) {
	defer b.drop(client)
	b.keep(client)
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(b.ctx, "tcp", b.target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer b.drop(server)
	b.keep(server)
	if b.ctx.Err() != nil { // stopped between the two
		return
	}
	life, answers := b.worker.current(), &answers{of: map[string]edge{}}
	var up sync.WaitGroup
	up.Go(func() {
		defer b.drop(server) // so that the other direction ends too
		b.pump(life, client, server, func(f frame) edge { return sent(f, answers) })
	})
	b.pump(life, server, client, func(f frame) edge { return received(f, answers) })
	b.drop(client)
	up.Wait()
}

func (b *brokerWire) keep(c *net.TCPConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = struct{}{}
}

func (b *brokerWire) drop(c *net.TCPConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	_ = c.Close() // a second close says that it was the second
}

// pump carries one direction, and brings the worker to the edges that it tells of.
func (b *brokerWire) pump(w *life, from, to net.Conn, tells func(frame) edge) {
	r := bufio.NewReader(from)
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		if at := tells(f); at != "" && b.edges.reach(b.ctx, at, w) != pass {
			return
		}
		if b.valve.wait(b.ctx) != nil {
			return
		}
		if _, err := to.Write(f.raw); err != nil {
			return
		}
	}
}

// answers are the replies that tell of an edge, by the inbox they come to. Both directions of a connection use it.
type answers struct {
	mu sync.Mutex
	of map[string]edge
}

func (a *answers) expect(inbox string, e edge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[inbox] = e
}

func (a *answers) take(inbox string) edge {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.of[inbox]
	delete(a.of, inbox)
	return e
}

const ackSubject = "$JS.ACK."

// sent tells the edge at which a worker is that sends f.
func sent(f frame, a *answers) edge {
	switch {
	case f.op != "PUB" && f.op != "HPUB":
	case strings.HasPrefix(f.subject, "results."):
		a.expect(f.reply, edgeRecorded)
	case strings.HasPrefix(f.subject, ackSubject) && bytes.HasPrefix(f.body(), []byte("+ACK")):
		a.expect(f.reply, edgeAcked)
		return edgeAck
	case strings.HasPrefix(f.subject, "progress."):
		return edgeStep
	}
	return ""
}

// received tells the edge at which a worker is that is about to get f.
func received(f frame, a *answers) edge {
	switch {
	case f.op != "MSG" && f.op != "HMSG":
		return ""
	case strings.HasPrefix(f.subject, "jobs.") && strings.HasPrefix(f.reply, ackSubject):
		return edgeFetched
	}
	e := a.take(f.subject)
	if e == edgeRecorded && bytes.Contains(f.body(), []byte(`"error"`)) { // refused: another one's is there
		return ""
	}
	return e
}
