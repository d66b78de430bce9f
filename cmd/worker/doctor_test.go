package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/doctor"
	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
)

// runWith runs the program with these variables.
func runWith(vars map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), func() {}, args, func(k string) string { return vars[k] }, &out, &errs)
	return code, out.String(), errs.String()
}

// TestDoctor: a worker's environment is a doctor's.
func TestDoctor(t *testing.T) {
	model, err := filepath.Abs("../../testdata/pipelines/sd15") // the store changes the working directory
	if err != nil {
		t.Fatal(err)
	}
	broker, err := natsd.Start(natsd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	store, err := s3d.Start(s3d.Options{Buckets: []string{"images"}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Stop()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL_S3": store.Endpoint(), "AWS_ACCESS_KEY_ID": store.AccessKey(), "AWS_SECRET_ACCESS_KEY": store.SecretKey(), "AWS_REGION": store.Region()} {
		t.Setenv(name, value) // which the SDK reads itself
	}
	vars := map[string]string{"NATS_URL": broker.URL(), "S3_BUCKET": "images", "MODELS": model, "ONNXRUNTIME_LIB": os.Getenv("ONNXRUNTIME_LIB"), "QUEUE_PREFIX": "acme"}
	code, stdout, stderr := runWith(vars, "doctor")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "presign") || !strings.Contains(stdout, " 0 failed,") {
		t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
	}
	vars["S3_BUCKET"], vars["OTEL_BSP_SCHEDULE_DELAY"] = "nothere", "soon"
	code, stdout, stderr = runWith(vars, "doctor", "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	failed := map[string]doctor.Status{}
	for _, c := range r.Checks {
		if c.Status == doctor.Failed || c.Area == doctor.AreaTelemetry && c.Status == doctor.Warning {
			failed[c.Area+" "+c.Name] = c.Status
		}
	}
	if code != exitBroken || r.OK || len(failed) != 2 || failed["store bucket"] != doctor.Failed || failed["telemetry OTEL_BSP_SCHEDULE_DELAY"] != doctor.Warning {
		t.Errorf("exit code %d, %v, %s", code, failed, stderr)
	}
}

// TestDoctorWithoutSettings tells of each that is missing or wrong, and looks at what it can.
func TestDoctorWithoutSettings(t *testing.T) {
	code, stdout, stderr := runWith(map[string]string{"NATS_URL": "nats://127.0.0.1:1", "LANES": "two", "SLOTS": "-1", "LOG_FORMAT": "xml", "ONNXRUNTIME_LIB": "/nonexistent.so"}, "doctor")
	if code != exitBroken || !strings.Contains(stderr, "not as it should be") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	for _, want := range []string{"LANES", "LOG_FORMAT (--log-format) is \"xml\"", "SLOTS (--slots) is -1", "S3_BUCKET is empty", "MODELS", "nobody answers there", "make ort", "not exported"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout)
		}
	}
	if n := strings.Count(stdout, "S3_BUCKET is empty"); n != 1 {
		t.Errorf("the bucket is told of %d times", n)
	}
}

func TestDoctorHelp(t *testing.T) {
	code, stdout, _ := runWith(nil, "doctor", "-h")
	for _, want := range []string{"NATS_URL", "S3_BUCKET", "MODELS", "--json", "DOCTOR_JSON", "EXIT CODES"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, -h does not name %s", code, want)
		}
	}
	if code, _, stderr := runWith(nil, "doctor", "--jsn"); code != exitConfig || !strings.Contains(stderr, "worker doctor -h") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
