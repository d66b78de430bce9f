package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// meterEvery is the time between two looks at a worker's metrics: of a worker that is killed, so much is not counted.
const meterEvery = 100 * time.Millisecond

// rowsMetric counts the rows that a worker has sent through the UNet: one for each step of a picture without guidance, two
// for one with it.
const rowsMetric = "worker_inference_batch_size_sum"

// meter adds up the UNet rows of all lives of a worker, from its /metrics. One goroutine looks; stop ends it.
type meter struct {
	url  string
	http http.Client
	end  context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	past float64 // of lives that have ended
	last float64 // of the life that runs
}

func newMeter(addr string) *meter {
	ctx, end := context.WithCancel(context.Background()) // ended by stop
	m := &meter{url: "http://" + addr + "/metrics", http: http.Client{Timeout: time.Second}, end: end, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			m.look(ctx)
			wait(ctx, meterEvery)
		}
	}()
	return m
}

func (m *meter) stop() {
	m.end()
	<-m.done
	m.http.CloseIdleConnections()
}

// look reads the metrics. A worker that is not there, or frozen, has nothing to tell.
func (m *meter) look(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	rows, err := sumOf(resp.Body, rowsMetric)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = max(m.last, rows)
}

// over closes the account of a life.
func (m *meter) over() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past, m.last = m.past+m.last, 0
}

// rows is the sum over all lives.
func (m *meter) rows() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(m.past + m.last)
}

// sumOf adds up all series of a metric in the Prometheus text format.
func sumOf(r io.Reader, metric string) (float64, error) {
	sum := 0.0
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), metric)
		if !ok || !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, " ") {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", metric, err)
		}
		sum += value
	}
	return sum, lines.Err()
}
