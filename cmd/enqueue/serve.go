package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
	"github.com/stipple-ai/stipple/internal/ops/page"
	"github.com/stipple-ai/stipple/internal/web"
)

const serveManual = `Serve serves a page that shows the queue, the workers, the batches and their pictures as they land, each picture with
what it was drawn from and where its time went, and the dead letters. It runs until Ctrl-C.

  enqueue serve
  enqueue serve --write                                   # also submits, cancels, pauses and puts back
  enqueue serve --listen 0.0.0.0:8081 --host stipple.example.org --token-file token

A broker or a store that is away is told on the page, with what to do about it; it goes on by itself when they are back.

It listens to this machine alone unless --listen says otherwise, and answers to the names localhost and those of --host.
Without --write nothing can be changed through it. With --token-file a browser has to know the token in that file, by
opening /?token=… once, and a program by sending Authorization: Bearer …; a page that others can reach and that writes
must have one. It speaks HTTP: put a proxy with TLS before it where others can listen, too.

It also sends the webhooks that batches name (enqueue --webhook), where --webhook-hosts allows their hosts and
--webhook-keys signs them: docs/webhooks.md.

The rights it needs are those of enqueue. docs/page.md tells what it shows and how it is kept safe.

With --json it prints one line, {"type":"serving","url":…,"read_only":…}, as soon as the page can be asked for.

Exit codes: 0 after Ctrl-C, 1 something broke, 2 bad flags.`

// serveFlags are those of "enqueue serve".
type serveFlags struct {
	broker    brokerFlags
	store     storeFlags
	telemetry telemetryFlags
	webhooks  webhookFlags

	listen    string
	hosts     []string
	tokenFile string
	write     bool
	json      bool
}

func (a *app) serveCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Serve a page that shows all of this, and the pictures",
		Long:  serveManual,
		Args:  exactly(0, "flags alone"),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8081", "address to listen at; port 0 draws a free one")
	fs.BoolVar(&f.write, "write", false, "let the page submit, cancel, pause and put back")
	fs.StringSliceVar(&f.hosts, "host", nil, "names under which the page is reached, beside localhost; comma-separated")
	fs.StringVar(&f.tokenFile, "token-file", "", "file with a token that everyone has to know")
	fs.BoolVar(&f.json, "json", false, "print where the page is as a JSON line")
	for _, name := range []string{"listen", "write", "host", "token-file", "json"} {
		own(fs, name)
	}
	f.webhooks.define(fs)
	f.store.define(fs)
	f.broker.define(fs)
	f.telemetry.define(fs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) }
	return cmd
}

// serve judges the flags, and serves the page until ctx ends, which is no error.
func (a *app) serve(ctx context.Context, f *serveFlags) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	if err := errors.Join(f.store.check(f.broker.config.Prefix), f.webhooks.check()); err != nil {
		return input(err)
	}
	token, err := f.token()
	if err != nil {
		return input(err)
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return input(fmt.Errorf("ENQUEUE_LISTEN (--listen) is %q: %w; choose another address", f.listen, err))
	}
	open := !loopback(l.Addr())
	if open && f.write && token == "" {
		return errors.Join(input(fmt.Errorf("--write with --listen %s: others could change your queue; give them a --token-file, or listen at 127.0.0.1", f.listen)), l.Close())
	}
	t, logger, flush, err := f.telemetry.start(ctx, a.getenv, logger)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer flush()
	cfg := f.broker.config
	cfg.NoAutoCreate = !f.broker.autoCreate
	hooks, err := newWebhooks(&f.webhooks, &f.broker, t.Meter(), logger)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	system := page.New(page.Config{Queue: cfg, Store: f.store.config, Schedulers: schedule.Names(), Also: hooks.problem, Logger: logger})
	show := web.Config{News: system, Records: system, Letters: system, Pictures: system, Metrics: t.MetricsHandler(), Version: version(), Hosts: f.hosts, Token: token, Logger: logger}
	if f.write {
		show.Orders, show.Controls = page.Orders{System: system, Tracing: tracing(t), Begin: orderSpan(t)}, page.Controls{System: system}
	}
	server, err := web.New(show)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := f.announce(a, l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	if open && token == "" {
		logger.WarnContext(ctx, "everyone who reaches this address sees all prompts and pictures; --token-file asks for a token", slog.String("address", l.Addr().String()))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, l) })
	group.Go(func() error { return system.Run(ctx) })
	group.Go(func() error { return hooks.run(ctx) })
	return group.Wait()
}

// serving is the line of output.
type serving struct {
	Type     string `json:"type"` // serving
	URL      string `json:"url"`
	ReadOnly bool   `json:"read_only"`
}

// announce says where the page is, and what it can do.
func (f *serveFlags) announce(a *app, at net.Addr) error {
	url := "http://" + at.String()
	if f.json {
		return writeLine(a.stdout, serving{"serving", url, !f.write})
	}
	can := "read-only; --write lets it submit, cancel, pause and put back"
	if f.write {
		can = "it can submit, cancel, pause and put back"
	}
	fmt.Fprintf(a.stdout, "the page is at %s (%s); Ctrl-C ends it\n", url, can)
	return nil
}

// token reads the token, without the line break at its end.
func (f *serveFlags) token() (string, error) {
	if f.tokenFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("ENQUEUE_TOKEN_FILE (--token-file): %w", err)
	}
	const least = 16
	token := strings.TrimSpace(string(data))
	if len(token) < least || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("ENQUEUE_TOKEN_FILE (--token-file): %s must hold one word of at least %d characters, as from: openssl rand -hex 32", f.tokenFile, least)
	}
	return token, nil
}

// loopback reports whether nobody but this machine can reach an address.
func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
