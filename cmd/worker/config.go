package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/modelflags"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/worker"
)

// settings are the flags as they stand on the command line, before they are judged together.
type settings struct {
	config      worker.Config
	models      string
	autoCreate  bool
	checkpoints bool
	rowShapes   string
	tags        string
	prefix      string
	logLevel    string
	logFormat   string
	arena       string
	detail      string
	sources     modelflags.Sources
	provider    providerFlags
	fellBack    error // why the CPU takes the provider's place, where that was asked for
}

// define makes every setting a flag; flagenv adds its variable.
func define(fs *pflag.FlagSet) *settings {
	s := &settings{}
	c := &s.config
	fs.StringVar(&s.models, "models", "", "pipelines to serve, comma-separated: folders, hf://org/repo@revision, s3://bucket/prefix or https://, each as name=place or with the last part of the place as its name")
	s.sources.Define(fs)
	s.sources.Addressing = &c.Store.Addressing
	fs.BoolVar(&c.ModelReplace, "model-replace", false, "take over a model name that the queue knows with another digest")

	fs.StringVar(&c.Queue.URL, "nats-url", "nats://127.0.0.1:4222", "NATS servers, comma-separated; a server that is away is waited for")
	fs.StringVar(&c.Queue.Creds, "nats-creds", "", "file with the user's JWT and seed")
	fs.StringVar(&c.Queue.NKey, "nats-nkey", "", "file with the user's NKey seed")
	fs.StringVar(&c.Queue.CA, "nats-ca", "", "file with the certificate authorities of the servers")
	fs.StringVar(&c.Queue.InboxPrefix, "nats-inbox-prefix", "", "prefix of reply subjects, where accounts keep users apart")
	fs.StringVar(&c.Queue.Prefix, "queue-prefix", "", "prefix of streams, subjects and buckets, so that several queues share one broker")
	fs.BoolVar(&s.autoCreate, "queue-auto-create", true, "create streams, buckets and consumers that are missing; never change what is there")
	fs.DurationVar(&c.AckWait, "ack-wait", 30*time.Second, "lease of a job, of consumers that this worker creates; heartbeats follow the consumer's own")
	fs.IntVar(&c.MaxAttempts, "max-attempts", 5, "starts of a job that fails before it becomes a dead letter")
	fs.DurationVar(&c.JobTimeout, "job-timeout", time.Hour, "most time a job may take; time spent waiting for storage does not count")
	fs.DurationVar(&c.CallTimeout, "call-timeout", 10*time.Minute, "most time one call to a model may take: after it the device is taken for hung, and the worker ends")

	fs.StringVar(&c.Store.Bucket, "s3-bucket", "", "bucket for the images; endpoint, region and credentials by the AWS SDK's own variables (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …)")
	fs.StringVar(&s.prefix, "s3-prefix", "", "prefix of every key, ending in /; default <queue-prefix>/")
	fs.StringVar(&s.tags, "s3-tags", "", "tags of every object: key=value pairs, comma-separated")
	fs.StringVar(&c.Store.SSE, "s3-sse", "", "server-side encryption: AES256, aws:kms or aws:kms:dsse")
	fs.StringVar(&c.Store.SSEKMSKeyID, "s3-sse-kms-key-id", "", "the key for aws:kms")
	fs.StringVar(&c.Store.Addressing, "s3-addressing-style", "auto", "path, virtual, or auto: path where an endpoint is set")

	fs.StringVar(&s.detail, "metadata", "full", "what an image's file tells: full (prompts, parameters, the job), minimal (that a model made it, which one, and the trace) or none; the result and the object's metadata tell the rest")

	defineRuntime(fs, &c.Runtime, &s.arena)
	s.provider.define(fs)
	fs.IntVar(&c.Runtime.Threads, "threads", 0, "threads of one call on the CPU; default: cores divided by lanes")
	fs.IntVar(&c.MaxRows, "max-rows", 0, "most UNet rows in one call; default 16 on a GPU, on a CPU the 2 rows of a guided picture, or 1 for models that draw without guidance")
	fs.StringVar(&s.rowShapes, "row-shapes", "", "row counts that calls are padded to; default max-rows alone on a CPU, 1,2,4,8,16 on a GPU; a single number makes every picture the same whatever shares its calls")
	fs.IntVar(&c.Lanes, "lanes", 0, "UNet calls at once; default one a core on a CPU, 1 on a GPU")
	fs.IntVar(&c.Slots, "slots", 0, "jobs held at once; default lanes × max-rows + 2")
	fs.IntVar(&c.MaxPixels, "max-pixels", 0, "largest picture, width × height; default four times the model's own")

	fs.BoolVar(&s.checkpoints, "checkpoint", true, "write down in the bucket how far a job is that is handed back in the middle, and go on from there")
	fs.DurationVar(&c.CheckpointTTL, "checkpoint-ttl", 24*time.Hour, "age beyond which a checkpoint is ignored")
	fs.IntVar(&c.CheckpointEvery, "checkpoint-every", 0, "steps between checkpoints of a job that runs, for machines that vanish without a signal; 0: none until told to leave")

	fs.DurationVar(&c.DrainTimeout, "drain-timeout", 25*time.Second, "time to finish what is held when told to leave; the rest is handed back")
	fs.DurationVar(&c.FlushTimeout, "flush-timeout", 4*time.Second, "time for telemetry after that")
	fs.StringVar(&c.HTTPAddr, "http-addr", "127.0.0.1:9090", "address of /healthz, /readyz and /metrics; off where the default is taken, an error where a chosen one is")
	fs.StringVar(&c.Name, "worker-name", "", "name in results and status; default: host, process and a random part")
	fs.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&s.logFormat, "log-format", "json", "json or text")
	return s
}

// defineRuntime makes flags of what every command that draws has to know; arena is for parseBytes.
func defineRuntime(fs *pflag.FlagSet, o *ort.Options, arena *string) {
	fs.StringVar(&o.Library, "onnxruntime-lib", "", "ONNX Runtime's library; default: libonnxruntime beside the program")
	flagenv.Bind(fs, "onnxruntime-lib", "ONNXRUNTIME_LIB")
	fs.StringVar(&o.Provider, "provider", "cpu", "execution provider: cpu, cuda or tensorrt; one that is not there is an error")
	fs.IntVar(&o.Device, "device", 0, "device of the provider")
	fs.StringVar(arena, "arena-limit", "", "memory for activations on the CPU, as 8GiB or 512MiB; default: three quarters of what the container has")
	fs.IntVar(&o.TileSize, "tile-size", 0, "side in pixels of the largest square that is decoded at once, so that a large picture fits in memory: larger ones are decoded in tiles; default 1024, or the model's own size where that is larger")
}

// finish judges what the flags say and completes the configuration. It joins every problem, each naming its setting.
func (s *settings) finish() (worker.Config, error) {
	c := s.config
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	c.Models, err = worker.ParseModels(s.models)
	add(err)
	c.Queue.NoAutoCreate = !s.autoCreate
	c.NoCheckpoints = !s.checkpoints
	c.Store.Prefix = s.prefix
	if s.prefix == "" && c.Queue.Prefix != "" {
		c.Store.Prefix = c.Queue.Prefix + "/"
	}
	c.Store.Tags, err = upload.ParseTags(s.tags)
	if err != nil {
		add(fmt.Errorf("S3_TAGS (--s3-tags): %w", err))
	}
	c.Detail, err = upload.ParseDetail(s.detail)
	if err != nil {
		add(fmt.Errorf("METADATA (--metadata): %w", err))
	}
	c.RowShapes, err = parseInts(s.rowShapes)
	if err != nil {
		add(fmt.Errorf("ROW_SHAPES (--row-shapes) is %q: must be whole numbers, comma-separated", s.rowShapes))
	}
	c.Runtime.ArenaLimit, err = parseBytes(s.arena)
	if err != nil {
		add(fmt.Errorf("ARENA_LIMIT (--arena-limit) is %q: %w", s.arena, err))
	}
	for _, t := range []struct {
		name  string
		value int
	}{{"MAX_ROWS (--max-rows)", c.MaxRows}, {"LANES (--lanes)", c.Lanes}, {"SLOTS (--slots)", c.Slots}, {"THREADS (--threads)", c.Runtime.Threads}, {"MAX_PIXELS (--max-pixels)", c.MaxPixels}, {"TILE_SIZE (--tile-size)", c.Runtime.TileSize}, {"DEVICE (--device)", c.Runtime.Device}} {
		if t.value < 0 {
			add(fmt.Errorf("%s is %d: must not be negative", t.name, t.value))
		}
	}
	s.fellBack, err = s.provider.apply(&c.Runtime)
	add(err)
	add(c.Store.Validate())
	if len(errs) > 0 {
		return c, errors.Join(errs...)
	}
	return c.Normalize()
}

func parseInts(s string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// leastArena is less than any model needs.
const leastArena = 16 << 20

// parseBytes reads a size such as 8GiB, 512MiB or a plain number of bytes; "" is 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit := s, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = rest, size
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, errors.New("must be a size such as 8GiB or 512MiB")
	}
	if n *= unit; n < leastArena {
		return 0, errors.New("must be at least 16MiB")
	}
	return n, nil
}
