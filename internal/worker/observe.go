package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stipple-ai/stipple/internal/gpu"
	"github.com/stipple-ai/stipple/internal/otel"
)

const (
	observeEvery = 15 * time.Second // ± half: the workers of a queue ask it the same
	observeTime  = 5 * time.Second  // for one look
)

// gauges are what the worker was told last of the queue and the devices, for the metrics of both: collecting must not wait for anyone.
type gauges struct {
	mu      sync.Mutex
	backlog []otel.Backlog
	devices []otel.GPU
}

// observe asks the queue and, on a GPU, the driver every now and then. It ends with ctx.
func (w *Worker) observe(ctx context.Context) {
	g := &gauges{}
	err := w.telemetry.ObserveBacklog(func() []otel.Backlog {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.backlog
	})
	if err == nil && w.cfg.gpu() {
		err = w.telemetry.ObserveGPUs(func() []otel.GPU {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.devices
		})
	}
	if err != nil {
		w.log.Warn("the queue and the devices have no metrics", slog.Any("error", err))
		return
	}
	for said := false; ; {
		w.lookAtQueue(ctx, g)
		if w.cfg.gpu() {
			if err := w.lookAtDevices(ctx, g); err != nil && !said && ctx.Err() == nil {
				w.log.Info("the GPU has no metrics: nvidia-smi does not answer", slog.Any("error", err))
				said = true
			}
		}
		select {
		case <-time.After(observeEvery/2 + rand.N(observeEvery)):
		case <-ctx.Done():
			return
		}
	}
}

// lookAtQueue asks for the backlog of each model. While the broker is away there is none: an old figure would look like a fresh one.
func (w *Worker) lookAtQueue(ctx context.Context, g *gauges) {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	var all []otel.Backlog
	for name := range w.models {
		backlog, err := w.queue.Backlog(ctx, name)
		if err != nil {
			w.log.Debug("the queue does not tell what waits", slog.Any("error", err))
			all = nil
			break
		}
		for _, b := range backlog {
			all = append(all, otel.Backlog{Stream: b.Stream, Consumer: b.Consumer, Pending: b.Pending, Held: b.Held, Redelivered: b.Redelivered})
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backlog = all
}

// lookAtDevices asks the driver.
func (w *Worker) lookAtDevices(ctx context.Context, g *gauges) error {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	devices, err := gpu.Read(ctx, "")
	var all []otel.GPU
	for _, d := range devices {
		all = append(all, otel.GPU{ID: d.UUID, Model: d.Model, Vendor: "NVIDIA", Driver: d.Driver, Utilization: d.Utilization,
			MemoryUsed: d.MemoryUsed, MemoryTotal: d.MemoryTotal, Temperature: d.Temperature, Power: d.Power, Errors: d.Errors})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.devices = all
	return err
}
