package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tripwire is an address that nobody is to connect to.
type tripwire struct {
	address string
	touched atomic.Int64
}

func newTripwire(t *testing.T) *tripwire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &tripwire{address: l.Addr().String()}
	go func() { // ends with the story, which closes the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.touched.Add(1)
			c.Close()
		}
	}()
	return w
}

// nowhere is a world without servers: whoever connects trips the wire.
func nowhere(t *testing.T) (*world, *tripwire) {
	t.Helper()
	wire := newTripwire(t)
	return &world{t: t, dir: folder(t), natsURL: "nats://" + wire.address, endpoint: "http://" + wire.address, bucket: "images"}, wire
}

// rejected runs a program that must end with exit code 2, having connected to nothing, with one message that says each
// of the words: no usage, no stack, no secret.
func rejected(t *testing.T, p *process, wire *tripwire, words ...string) {
	t.Helper()
	if code := p.exit(30 * time.Second); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	said := p.errs()
	begin := strings.Index(said, filepath.Base(p.cmd.Path)+": ")
	if begin < 0 {
		t.Fatalf("no message:\n%s", said)
	}
	message := said[begin:]
	mentions(t, "the message", message, words...)
	if strings.Contains(said, "goroutine ") || strings.Contains(said, "Usage:") || strings.Contains(said, "level=ERROR") || strings.Contains(said, given.secretKey) {
		t.Errorf("more than a message:\n%s", said)
	}
	if n := len(lines(message)); n > 4 {
		t.Errorf("a message of %d lines:\n%s", n, message)
	}
	if n := wire.touched.Load(); n > 0 {
		t.Errorf("it connected %d times", n)
	}
}

// TestSettingsOfTheWorkerThatCannotWork are found before it connects to anything.
func TestSettingsOfTheWorkerThatCannotWork(t *testing.T) {
	taken := newTripwire(t)
	for name, tt := range map[string]struct {
		env   []string
		args  []string
		words []string
	}{
		"unknown flag":             {nil, []string{"--warp"}, []string{"--warp", "worker -h"}},
		"an argument":              {nil, []string{"a fox"}, []string{"a fox"}},
		"flag without value":       {nil, []string{"--lanes"}, []string{"--lanes"}},
		"no models":                {[]string{"MODELS="}, nil, []string{"MODELS", "--models", "models/tiny-emoji"}},
		"no path":                  {[]string{"MODELS=sd15="}, nil, []string{"sd15", "name=path"}},
		"no name":                  {[]string{"MODELS=!=x"}, nil, []string{`"!"`, "name=path"}},
		"two models of one token":  {[]string{"MODELS=a.b=x,a_b=y"}, nil, []string{"a.b", "a_b"}},
		"no bucket":                {[]string{"S3_BUCKET="}, nil, []string{"S3_BUCKET"}},
		"prefix":                   {[]string{"S3_PREFIX=acme"}, nil, []string{"S3_PREFIX", "acme/"}},
		"tags":                     {[]string{"S3_TAGS=a"}, nil, []string{"S3_TAGS", "key=value"}},
		"encryption":               {[]string{"S3_SSE=rot13"}, nil, []string{"S3_SSE", "rot13", "AES256"}},
		"encryption key":           {[]string{"S3_SSE_KMS_KEY_ID=k"}, nil, []string{"S3_SSE_KMS_KEY_ID", "aws:kms"}},
		"addressing":               {[]string{"S3_ADDRESSING_STYLE=dns"}, nil, []string{"S3_ADDRESSING_STYLE", "dns"}},
		"lanes":                    {[]string{"LANES=two"}, nil, []string{"LANES", "two"}},
		"negative lanes":           {[]string{"LANES=-1"}, nil, []string{"LANES", "-1"}},
		"negative lanes by flag":   {nil, []string{"--lanes=-1"}, []string{"--lanes", "-1"}},
		"slots":                    {[]string{"SLOTS=-1"}, nil, []string{"SLOTS", "-1"}},
		"rows":                     {[]string{"MAX_ROWS=many"}, nil, []string{"MAX_ROWS", "many"}},
		"row shapes":               {[]string{"ROW_SHAPES=1,two"}, nil, []string{"ROW_SHAPES", "1,two"}},
		"row shapes and rows":      {[]string{"ROW_SHAPES=1,2", "MAX_ROWS=4"}, nil, []string{"ROW_SHAPES", "MAX_ROWS"}},
		"threads":                  {[]string{"THREADS=-2"}, nil, []string{"THREADS", "-2"}},
		"pixels":                   {[]string{"MAX_PIXELS=1e6"}, nil, []string{"MAX_PIXELS", "1e6"}},
		"arena":                    {[]string{"ARENA_LIMIT=lots"}, nil, []string{"ARENA_LIMIT", "lots", "8GiB"}},
		"device":                   {[]string{"DEVICE=-1"}, nil, []string{"DEVICE", "-1"}},
		"provider":                 {[]string{"PROVIDER=tpu"}, nil, []string{"PROVIDER", "tpu", "cuda"}},
		"lease without unit":       {[]string{"ACK_WAIT=30"}, nil, []string{"ACK_WAIT", "30"}},
		"lease too short":          {[]string{"ACK_WAIT=10ms"}, nil, []string{"ACK_WAIT", "1s"}},
		"attempts":                 {[]string{"MAX_ATTEMPTS=-1"}, nil, []string{"MAX_ATTEMPTS", "-1"}},
		"job timeout":              {[]string{"JOB_TIMEOUT=1ms"}, nil, []string{"JOB_TIMEOUT", "1s"}},
		"drain timeout":            {[]string{"DRAIN_TIMEOUT=-1s"}, nil, []string{"DRAIN_TIMEOUT", "-1s"}},
		"flush timeout":            {[]string{"FLUSH_TIMEOUT=soon"}, nil, []string{"FLUSH_TIMEOUT", "soon"}},
		"log level":                {[]string{"LOG_LEVEL=loud"}, nil, []string{"LOG_LEVEL", "loud", "debug"}},
		"log format":               {[]string{"LOG_FORMAT=xml"}, nil, []string{"LOG_FORMAT", "xml", "json"}},
		"auto create":              {[]string{"QUEUE_AUTO_CREATE=maybe"}, nil, []string{"QUEUE_AUTO_CREATE", "maybe"}},
		"queue prefix":             {[]string{"QUEUE_PREFIX=a b"}, nil, []string{"QUEUE_PREFIX", "a b"}},
		"broker scheme":            {[]string{"NATS_URL=http://127.0.0.1:4222"}, nil, []string{"NATS_URL", "http", "nats"}},
		"broker port":              {[]string{"NATS_URL=nats://127.0.0.1:99999"}, nil, []string{"NATS_URL", "99999"}},
		"broker password":          {[]string{"NATS_URL=http://me:" + given.secretKey + "@127.0.0.1"}, nil, []string{"NATS_URL"}},
		"credentials file":         {[]string{"NATS_CREDS=/does/not/exist"}, nil, []string{"NATS_CREDS", "/does/not/exist"}},
		"key file":                 {[]string{"NATS_NKEY=/does/not/exist"}, nil, []string{"NATS_NKEY", "/does/not/exist"}},
		"authorities":              {[]string{"NATS_CA=/does/not/exist"}, nil, []string{"NATS_CA", "/does/not/exist"}},
		"address":                  {[]string{"HTTP_ADDR=nonsense"}, nil, []string{"HTTP_ADDR", "nonsense"}},
		"address in use":           {[]string{"HTTP_ADDR=" + taken.address}, nil, []string{"HTTP_ADDR", taken.address, "in use"}},
		"three problems, all told": {[]string{"LANES=-1", "S3_TAGS=a", "PROVIDER=tpu"}, nil, []string{"LANES", "S3_TAGS"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, wire := nowhere(t)
			env := append([]string{"MODELS=" + model("sd15"), "ONNXRUNTIME_LIB=" + given.library, "HTTP_ADDR=127.0.0.1:0"}, tt.env...)
			rejected(t, start(t, w.dir, "worker", w.environment(env...), given.worker, tt.args...), wire, tt.words...)
		})
	}
}

// TestModelFoldersThatCannotWork: the message names the folder, and the file in it.
func TestModelFoldersThatCannotWork(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string)
		words []string
	}{
		"no folder":       {func(t *testing.T, dir string) { remove(t, dir) }, nil},
		"a file":          {func(t *testing.T, dir string) { remove(t, dir); write(t, dir, "x") }, nil},
		"an empty folder": {func(t *testing.T, dir string) { remove(t, dir); mkdir(t, dir) }, []string{"model_index.json"}},
		"no index":        {func(t *testing.T, dir string) { remove(t, dir, "model_index.json") }, []string{"model_index.json"}},
		"a broken index":  {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "model_index.json"), "{") }, []string{"model_index.json"}},
		"another pipeline": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "model_index.json"), `{"_class_name":"AudioPipeline"}`)
		}, []string{"model_index.json", "AudioPipeline"}},
		"no UNet":          {func(t *testing.T, dir string) { remove(t, dir, "unet") }, []string{"unet"}},
		"a broken UNet":    {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "unet/model.onnx"), "no model") }, []string{"unet/model.onnx"}},
		"a cut UNet":       {func(t *testing.T, dir string) { cut(t, filepath.Join(dir, "unet/model.onnx")) }, []string{"unet/model.onnx"}},
		"an empty decoder": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "vae_decoder/model.onnx"), "") }, []string{"vae_decoder/model.onnx"}},
		"another's decoder": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "vae_decoder/model.onnx"), read(t, filepath.Join(dir, "text_encoder/model.onnx")))
		}, []string{"vae_decoder"}},
		"no tokenizer": {func(t *testing.T, dir string) { remove(t, dir, "tokenizer") }, []string{"tokenizer"}},
		"a broken tokenizer": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "tokenizer/vocab.json"), "[]") },
			[]string{"tokenizer/vocab.json"}},
		"no scheduler": {func(t *testing.T, dir string) { remove(t, dir, "scheduler") }, []string{"scheduler"}},
		"a broken scheduler": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "scheduler/scheduler_config.json"), `{"beta_start":"low"}`)
		},
			[]string{"scheduler/scheduler_config.json"}},
		"broken defaults": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "stipple.json"), `{"num_inference_steps":-1}`)
		}, []string{"stipple.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, wire := nowhere(t)
			dir := filepath.Join(w.dir, "pipeline")
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(given.repository, "testdata/pipelines/sd15"))); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, dir)
			k := w.launch("worker", "MODELS="+dir)
			rejected(t, k.process, wire, append(tt.words, dir)...)
		})
	}
}

// TestNoONNXRuntime: the message says how to get it.
func TestNoONNXRuntime(t *testing.T) {
	w, wire := nowhere(t)
	alone := filepath.Join(w.dir, "worker") // with no library beside it
	if err := os.Link(given.worker, alone); err != nil {
		write(t, alone, read(t, given.worker))
		if err := os.Chmod(alone, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := filepath.Join(w.dir, "library.so")
	write(t, text, "no library")
	for _, tt := range []struct {
		library string
		words   []string
	}{
		{"", []string{"libonnxruntime", "ONNXRUNTIME_LIB", "make"}},
		{"/does/not/exist.so", []string{"/does/not/exist.so", "ONNXRUNTIME_LIB", "make"}},
		{text, []string{text, "make ort"}},
	} {
		env := w.environment("MODELS="+model("sd15"), "HTTP_ADDR=127.0.0.1:0", "ONNXRUNTIME_LIB="+tt.library)
		rejected(t, start(t, w.dir, "worker", env, alone), wire, tt.words...)
	}
	env := w.environment("MODELS="+model("sd15"), "HTTP_ADDR=127.0.0.1:0", "ONNXRUNTIME_LIB="+given.library, "PROVIDER=cuda")
	rejected(t, start(t, w.dir, "worker", env, alone), wire, "cuda", "GPU build")
}

func remove(t *testing.T, path ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cut leaves the first half of a file.
func cut(t *testing.T, path string) {
	t.Helper()
	text := read(t, path)
	write(t, path, text[:len(text)/2])
}
