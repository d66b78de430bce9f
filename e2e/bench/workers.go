package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const bucket = "images"

// kind is one kind of worker: where its jobs go, and how its processes start.
type kind struct {
	stream, subject string // subject of a job of batch %s
	commands        []*exec.Cmd
}

func ourWorker(ctx context.Context, o options, env []string) kind {
	cmd := exec.CommandContext(ctx, o.worker)
	cmd.Env = append(slices.Clone(env), "MODELS="+o.model, "HTTP_ADDR=", "LOG_LEVEL=warn")
	return kind{stream: "JOBS", subject: "jobs.normal." + strings.ReplaceAll(filepath.Base(o.model), ".", "_") + ".%s", commands: []*exec.Cmd{cmd}}
}

func peerWorkers(ctx context.Context, o options, env []string) kind {
	k := kind{stream: "PEER", subject: "peer.%s"}
	for range o.peers {
		cmd := exec.CommandContext(ctx, o.python, filepath.Join(o.peer, "worker.py"))
		cmd.Env = append(slices.Clone(env), "NATS_STREAM=PEER", "NATS_SUBJECT=peer.*", "NATS_CONSUMER=peers", "MODEL_DIR="+filepath.Dir(o.model), "PRELOAD="+filepath.Base(o.model),
			"ORT_THREADS=1", "OMP_NUM_THREADS=1", "LOG_LEVEL=WARNING")
		k.commands = append(k.commands, cmd)
	}
	return k
}

// bench is the connection by which jobs are published and counted.
type bench struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func open(ctx context.Context, url string) (*bench, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "PEER", Subjects: []string{"peer.*"}, Retention: jetstream.WorkQueuePolicy})
	if err == nil { // as the worker would make it, before the worker runs: the queue is full when it starts
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.*.*.*"}, Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, Duplicates: 2 * time.Minute, AllowAtomicPublish: true, AllowDirect: true, MaxMsgs: 2_000_000, MaxMsgsPerSubject: -1})
	}
	return &bench{nc, js}, err
}

// measure fills the queue, starts the workers, and watches the queue empty.
func (b *bench) measure(ctx context.Context, o options, k kind, batch string) (f figures, err error) {
	for i := range o.images {
		body, err := json.Marshal(map[string]any{
			"version": 1, "batch_id": batch, "index": i, "model": filepath.Base(o.model), "prompt": fmt.Sprintf("a cat on a blue background, number %d", i),
			"num_inference_steps": o.steps, "guidance_scale": o.guidance, "seed": i,
		})
		if err != nil {
			return f, err
		}
		msg := &nats.Msg{Subject: fmt.Sprintf(k.subject, batch), Data: body, Header: nats.Header{"Nats-Msg-Id": {fmt.Sprintf("%s/%d", batch, i)}}}
		if _, err := b.js.PublishMsg(ctx, msg); err != nil {
			return f, err
		}
	}
	start := time.Now()
	for _, cmd := range k.commands {
		cmd.Stderr = o.stderr
		if err := cmd.Start(); err != nil {
			return f, err
		}
	}
	defer func() { err = errors.Join(err, stop(k.commands)) }()
	first, last, atFirst, err := b.watch(ctx, k.stream, o.images)
	if err != nil {
		return f, err
	}
	f.first = first.Sub(start)
	f.rate = float64(o.images-atFirst) / last.Sub(first).Seconds()
	for _, cmd := range k.commands {
		rss, err := peakRSS(cmd.Process.Pid)
		if err != nil {
			return f, err
		}
		f.rss += rss
	}
	return f, nil
}

// watch returns when the first and the last of n jobs were acknowledged, and how many were at the first look that saw any.
func (b *bench) watch(ctx context.Context, stream string, n int) (first, last time.Time, atFirst int, err error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return first, last, 0, err
	}
	for {
		info, err := s.Info(ctx)
		if err != nil {
			return first, last, 0, err
		}
		now := time.Now()
		left := int(info.State.Msgs)
		if left < n && first.IsZero() {
			first, atFirst = now, n-left
		}
		if left == 0 {
			return first, now, atFirst, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return first, last, 0, ctx.Err()
		}
	}
}

// stop ends processes with SIGTERM and waits for them.
func stop(commands []*exec.Cmd) error {
	var errs []error
	for _, cmd := range commands {
		errs = append(errs, cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", cmd.Path, err))
		}
	}
	return errors.Join(errs...)
}

// peakRSS reads the most memory a process has had resident.
func peakRSS(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/PID/status")
}
