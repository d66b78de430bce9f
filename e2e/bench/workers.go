package main

import (
	"bytes"
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
	first, left, err := b.watch(ctx, k.stream, o.images-1)
	if err != nil {
		return f, err
	}
	before, err := usage(k.commands)
	if err != nil {
		return f, err
	}
	last, _, err := b.watch(ctx, k.stream, 0)
	if err != nil {
		return f, err
	}
	after, err := usage(k.commands)
	if err != nil {
		return f, err
	}
	f.first = first.Sub(start)
	f.rate = float64(left) / last.Sub(first).Seconds()
	f.cpu = (after.cpu - before.cpu) / time.Duration(left)
	f.rss = after.rss
	return f, nil
}

// watch returns when no more than limit jobs are left in the stream, and how many are.
func (b *bench) watch(ctx context.Context, stream string, limit int) (at time.Time, left int, err error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return at, 0, err
	}
	for {
		info, err := s.Info(ctx)
		if err != nil {
			return at, 0, err
		}
		if left = int(info.State.Msgs); left <= limit {
			return time.Now(), left, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return at, 0, ctx.Err()
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

// use is what processes have used so far.
type use struct {
	cpu time.Duration
	rss int64 // peak resident bytes
}

// usage adds up what /proc tells of the processes.
func usage(commands []*exec.Cmd) (all use, err error) {
	for _, cmd := range commands {
		proc := filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid))
		kb, err := field(filepath.Join(proc, "status"), "VmHWM:")
		if err != nil {
			return all, err
		}
		all.rss += kb << 10
		stat, err := os.ReadFile(filepath.Join(proc, "stat"))
		if err != nil {
			return all, err
		}
		// After the name, which may hold anything, utime and stime are the 12th and 13th, in hundredths of a second.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, f := range fields[11:13] {
			ticks, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return all, err
			}
			all.cpu += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return all, nil
}

// field reads a number of kilobytes from a file of /proc.
func field(path, name string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}
