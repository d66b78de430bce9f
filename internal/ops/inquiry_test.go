package ops

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/queue"
)

// between is the address of a broker before which, once a client asks it for what, something else happens.
func between(t *testing.T, broker, what string, happen func()) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	var running sync.WaitGroup
	carry := func(to, from net.Conn, look func([]byte)) {
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if look(buf[:n]); err != nil {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	running.Go(func() { // ends when the listener is closed, and what it starts with the connections
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(broker, "nats://"))
			if err != nil {
				client.Close()
				continue
			}
			running.Go(func() {
				carry(server, client, func(said []byte) {
					if bytes.Contains(said, []byte(what)) {
						once.Do(happen)
					}
				})
			})
			running.Go(func() { carry(client, server, func([]byte) {}) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return "nats://" + l.Addr().String()
}

// connect returns a client that is closed with the test.
func connect(t *testing.T, url string) *queue.Client {
	t.Helper()
	c, err := queue.Connect(t.Context(), queue.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) }) // whose context has ended: it is closed at once
	return c
}

// A job that is done while it is asked about is neither waiting nor gone.
func TestAJobThatIsDoneMeanwhile(t *testing.T) {
	broker, err := natsd.Start(natsd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	worker := connect(t, broker.URL())
	layout := queue.Layout{Models: []string{"m"}}
	if _, err := worker.Ensure(t.Context(), layout); err != nil {
		t.Fatal(err)
	}
	plan := batch.Plan{Rows: batch.Args("a cat")}
	plan.Defaults.Model = "m"
	if _, err := batch.Submit(t.Context(), worker, batch.Submission{Batch: "b", Plan: plan, Total: 1}); err != nil {
		t.Fatal(err)
	}
	source, err := worker.NewSource(queue.SourceConfig{Layout: layout})
	if err != nil {
		t.Fatal(err)
	}
	finished := false
	finish := func() { // after the look at the result, and before the one into the queue
		jobs, err := source.Fetch(t.Context(), 1)
		if err != nil || len(jobs) != 1 {
			t.Errorf("%d jobs, %v", len(jobs), err)
			return
		}
		if _, err := worker.Record(t.Context(), queue.Result{BatchID: "b", Status: queue.Cancelled, Worker: "rembrandt"}); err != nil {
			t.Error(err)
		}
		if err := jobs[0].Ack(t.Context()); err != nil {
			t.Error(err)
		}
		finished = true
	}
	person := connect(t, between(t, broker.URL(), "dead.b.0", finish))
	x := Inquiry{Batch: "b", Explanation: &Explanation{}}
	if err := x.Ask(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	if e := x.Explanation; !finished || e.Status != queue.Cancelled || e.Worker != "rembrandt" || x.Result == nil {
		t.Errorf("finished %t; %+v", finished, e)
	}
}
