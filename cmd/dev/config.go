package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/modelflags"
	"github.com/stipple-ai/stipple/internal/modelstore"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/worker"
)

// shipped is where the model lies that comes with the repository.
const shipped = "models/tiny-emoji"

// Times of the worker in this process: its jobs are short, and nobody wants to wait.
const (
	drainTimeout = 10 * time.Second
	flushTimeout = 4 * time.Second
)

// config is what the command line and the environment say. finish makes its paths absolute, because the S3 server
// changes the process's working directory.
type config struct {
	models  string
	library string // of ONNX Runtime; "" is the one beside this program
	lanes   int    // 0: one for each core
	level   string
	sources modelflags.Sources

	served []worker.ModelPath // from models; folders alone once fetch has returned
	log    *slog.Logger       // of worker and servers, from level

	out   string // of the demo alone, as the next two
	outAs string // out as it was given
	json  bool

	data string // this and the following of the servers that keep running alone
	at   addresses
	http string
	page string // address of the page; "" for none
}

// define makes the settings of both commands flags.
func (c *config) define(fs *pflag.FlagSet) {
	fs.StringVar(&c.models, "models", "", "pipelines to serve, comma-separated, as a worker takes them: folders, hf://org/repo@revision, s3://bucket/prefix or https://, each as name=place or with the last part of the place as its name; default: the small model, "+shipped)
	c.sources.Define(fs)
	fs.StringVar(&c.library, "onnxruntime-lib", "", "ONNX Runtime's library; default: libonnxruntime beside the program")
	fs.IntVar(&c.lanes, "lanes", 0, "UNet calls at once; default one a core")
	fs.StringVar(&c.level, "log-level", "warn", "what the worker and the servers log: debug, info, warn or error")
}

// finish judges what the flags say, finds the model and makes paths absolute. It joins every problem, each naming its setting.
func (c *config) finish(stderr io.Writer) error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if c.lanes < 0 {
		add(fmt.Errorf("LANES (--lanes) is %d: must not be negative", c.lanes))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.level)); err != nil {
		add(fmt.Errorf("LOG_LEVEL (--log-level) is %q: must be debug, info, warn or error", c.level))
	}
	c.log = slog.New(otel.LogHandler(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})))

	models, err := c.models, error(nil)
	if models == "" {
		models, err = findShipped()
	}
	if err == nil {
		c.served, err = worker.ParseModels(models)
	}
	add(err)
	c.outAs = c.out
	paths := []*string{&c.out, &c.data, &c.library}
	for i := range c.served {
		if m := &c.served[i]; !modelstore.Remote(m.Dir) {
			paths = append(paths, &m.Dir)
		}
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			add(fmt.Errorf("finding the working directory: %w", err))
		}
	}
	return errors.Join(errs...)
}

// fetch downloads the models that are URLs, unless the cache has them. From then on the process knows no store but its own. It returns errInterrupted when ctx
// ends; what was downloaded is kept for the next start.
func (c *config) fetch(ctx context.Context, stderr io.Writer) error {
	if err := ort.Check(ort.Options{Library: c.library}); err != nil { // before a download that it would have no use for
		return configError(err)
	}
	log := slog.New(slog.NewTextHandler(stderr, nil)) // whatever the level: one that says nothing for minutes looks hung
	served, err := c.sources.Fetch(ctx, c.served, log, stderr)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return configError(err)
	}
	c.served = served
	return forgetStores()
}

// findShipped looks for the small model in the working directory and beside the folder of this program.
func findShipped() (string, error) {
	tried := []string{filepath.FromSlash(shipped)}
	if program, err := os.Executable(); err == nil { // where there is no telling, the working directory must do
		tried = append(tried, filepath.Join(filepath.Dir(filepath.Dir(program)), filepath.FromSlash(shipped)))
	}
	for _, dir := range tried {
		if _, err := os.Stat(filepath.Join(dir, "model_index.json")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the small model is not at %s: start this in the repository, or set MODELS (--models) to the folder or the URL of a pipeline",
		strings.Join(tried, " or "))
}

// workerConfig is the worker of the services.
func (c *config) workerConfig(s *services) worker.Config {
	return worker.Config{
		Models: c.served, Runtime: ort.Options{Library: c.library, Logger: c.log}, Lanes: c.lanes,
		Queue: s.queueConfig("", c.log), Store: s.storeConfig(),
		DrainTimeout: drainTimeout, FlushTimeout: flushTimeout, HTTPAddr: c.http, Getenv: s.getenv, Logger: c.log,
	}
}
