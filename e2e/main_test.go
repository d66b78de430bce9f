// Package e2e_test tells stories: the built worker and enqueue against a real nats-server and a real S3 store, which
// are killed, restarted and taken away as the story goes. It sees what a user sees: command lines, messages, objects,
// spans, exit codes. Everything it expects of them it works out for itself.
//
// scripts/e2e.sh builds and names what the stories need: `make e2e`.
package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// given is what scripts/e2e.sh says; TestMain reads it, nothing writes it afterwards.
var given settings

// settings name the programs to run and the servers to run them against.
type settings struct {
	worker, enqueue string // programs
	library         string // of ONNX Runtime
	repository      string // its root

	// Servers that the stories start: programs.
	natsServer  string
	storeKind   string // versitygw or minio
	storeServer string

	// Or servers that run already, and how to stop and start them.
	natsURL, endpoint string
	compose           []string // the compose command; empty where there is none

	region, accessKey, secretKey string
}

// external reports whether broker and store run already.
func (s settings) external() bool { return s.natsURL != "" || s.endpoint != "" }

func TestMain(m *testing.M) {
	var err error
	if given, err = readSettings(os.Getenv); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\nrun the stories with `make e2e`, which builds and names what they need\n", err)
		os.Exit(2)
	}
	where := fmt.Sprintf("nats-server and %s, started by the stories", given.storeKind)
	if given.external() {
		where = fmt.Sprintf("broker %s and store %s", given.natsURL, given.endpoint)
	}
	fmt.Fprintln(os.Stderr, "e2e: against", where)
	os.Exit(m.Run())
}

func readSettings(getenv func(string) string) (settings, error) {
	bin := getenv("E2E_BIN")
	s := settings{
		worker: filepath.Join(bin, "worker"), enqueue: filepath.Join(bin, "enqueue"), library: getenv("ONNXRUNTIME_LIB"),
		natsServer: getenv("E2E_NATS_SERVER"), storeKind: getenv("E2E_STORE"), storeServer: getenv("E2E_STORE_SERVER"),
		natsURL: getenv("NATS_URL"), endpoint: getenv("AWS_ENDPOINT_URL"), compose: strings.Fields(getenv("E2E_COMPOSE")),
		region: "us-east-1", accessKey: "stipple-e2e", secretKey: "stipple-e2e-secret",
	}
	needed := map[string]string{"E2E_BIN": bin, "ONNXRUNTIME_LIB": s.library}
	if s.external() {
		s.region, s.accessKey, s.secretKey = getenv("AWS_REGION"), getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY")
		needed["NATS_URL"], needed["AWS_ENDPOINT_URL"] = s.natsURL, s.endpoint
		needed["AWS_REGION"], needed["AWS_ACCESS_KEY_ID"], needed["AWS_SECRET_ACCESS_KEY"] = s.region, s.accessKey, s.secretKey
	} else {
		needed["E2E_NATS_SERVER"], needed["E2E_STORE"], needed["E2E_STORE_SERVER"] = s.natsServer, s.storeKind, s.storeServer
	}
	var errs []error
	for name, value := range needed {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s is not set", name))
		}
	}
	for _, file := range []string{s.worker, s.enqueue, s.library, s.natsServer, s.storeServer} {
		if _, err := os.Stat(file); err != nil && filepath.IsAbs(file) {
			errs = append(errs, err)
		}
	}
	var err error
	if s.repository, err = filepath.Abs(".."); err != nil {
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

// model is the folder of a pipeline in the repository, as MODELS takes it.
func model(name string) string {
	dir := map[string]string{"tiny-emoji": "models/tiny-emoji", "sd15": "testdata/pipelines/sd15"}[name]
	return name + "=" + filepath.Join(given.repository, dir)
}
