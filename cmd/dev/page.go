package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
	"github.com/stipple-ai/stipple/internal/ops/page"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/web"
)

// shown is the page of the services, in goroutines of its own.
type shown struct {
	url       string // "" for none
	stop      context.CancelFunc
	done      chan struct{} // closed once all of them have ended, after err was written
	err       error
	telemetry *otel.Telemetry
}

// showPage serves the page of the services at an address, "" for none, until leave is called. It can change things where
// nobody but this machine can reach it.
func showPage(ctx context.Context, s *services, c *config, address string) (*shown, error) {
	p := &shown{stop: func() {}, done: make(chan struct{})}
	if address == "" {
		close(p.done)
		return p, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, configError(fmt.Errorf("PAGE_ADDR (--page-addr) is %q: %w; choose another address, or none with an empty one", address, err))
	}
	if p.telemetry, err = otel.Setup(ctx, otel.Options{Getenv: s.getenv, Logger: c.log, ServiceName: "enqueue"}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	system := page.New(page.Config{Queue: s.queueConfig("", c.log), Store: s.storeConfig(), Schedulers: schedule.Names(), Logger: c.log})
	show := web.Config{News: system, Records: system, Letters: system, Pictures: system, Version: "dev", Logger: c.log}
	if at, ok := l.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		show.Orders, show.Controls = page.Orders{System: system, Tracing: tracing(p.telemetry), Begin: p.begin}, page.Controls{System: system}
	}
	server, err := web.New(show)
	if err != nil {
		return nil, errors.Join(err, l.Close(), p.telemetry.Shutdown(ctx))
	}
	p.url = "http://" + l.Addr().String()
	// The services stop after the page: what they cut off would be told as trouble.
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan error, 1)
	go func() { ran <- system.Run(ctx) }() // ended by stop
	go func() {                            // ended by stop, the last of the two
		defer close(p.done)
		p.err = server.Serve(ctx, l)
		p.stop()
		p.err = errors.Join(p.err, <-ran)
	}()
	return p, nil
}

// leave ends the page.
func (p *shown) leave() error {
	p.stop()
	<-p.done
	if p.telemetry == nil {
		return p.err
	}
	flush, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return errors.Join(p.err, p.telemetry.Shutdown(flush))
}

// begin starts the span of an order.
func (p *shown) begin(ctx context.Context, _ string, _ int64) (context.Context, func(error)) {
	ctx, span := p.telemetry.Tracer().Start(ctx, otel.SpanEnqueue)
	return ctx, func(err error) {
		fail(span, err)
		span.End()
	}
}
