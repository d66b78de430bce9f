package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
)

func TestCheckpointsAreReplaced(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	key := CheckpointKey("", "cats", 1, "0123456789abcdef")
	if _, err := s.GetCheckpoint(t.Context(), key); !errors.Is(err, ErrNotFound) {
		t.Errorf("GetCheckpoint before there is one: %v, want ErrNotFound", err)
	}
	for _, state := range []string{"step 3", "step 12 and more", ""} {
		if err := s.PutCheckpoint(t.Context(), key, []byte(state)); err != nil {
			t.Fatalf("PutCheckpoint: %v", err)
		}
		got, err := s.GetCheckpoint(t.Context(), key)
		if err != nil || string(got.State) != state {
			t.Errorf("GetCheckpoint: %q, %v, want %q", got.State, err, state)
		}
		if age := time.Since(got.Modified); age < -time.Minute || age > time.Hour {
			t.Errorf("modified %v ago", age)
		}
	}
	for range 2 {
		if err := s.DeleteCheckpoint(t.Context(), key); err != nil {
			t.Errorf("DeleteCheckpoint: %v", err)
		}
	}
	if _, err := s.GetCheckpoint(t.Context(), key); !errors.Is(err, ErrNotFound) {
		t.Errorf("GetCheckpoint after DeleteCheckpoint: %v, want ErrNotFound", err)
	}
}

func TestDamagedCheckpointsAreNotTaken(t *testing.T) {
	server, c := startS3(t)
	s := open(t, c, nil)
	if err := s.PutCheckpoint(t.Context(), "c", []byte("step 12")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(server.Dir(), "pictures", "c"), []byte("step 13"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "foreign", Object{Body: []byte("holiday")})
	for _, key := range []string{"c", "foreign"} {
		if got, err := s.GetCheckpoint(t.Context(), key); !errors.Is(err, ErrDamaged) {
			t.Errorf("GetCheckpoint of %s: %q, %v, want ErrDamaged", key, got.State, err)
		}
	}
}

// A store that promises, or sends, more than a checkpoint can be.
func TestCheckpointsAreBounded(t *testing.T) {
	_, c := startS3(t)
	var e *Error
	if err := open(t, c, nil).PutCheckpoint(t.Context(), "c", make([]byte, MaxCheckpoint+1)); err == nil || errors.As(err, &e) {
		t.Errorf("PutCheckpoint of more than MaxCheckpoint: %v, want an error of the caller", err)
	}
	for name, length := range map[string]string{"promised": fmt.Sprint(MaxCheckpoint + 1), "sent": ""} {
		var sent int
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			block := make([]byte, 1<<20)
			for range MaxCheckpoint/len(block) + 16 {
				n, err := w.Write(block)
				sent += n
				if err != nil {
					return
				}
			}
		}))
		s := open(t, Config{Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s"}, nil)
		_, err := s.GetCheckpoint(t.Context(), "c")
		server.Close()
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: GetCheckpoint: %v, want ErrDamaged", name, err)
		}
		if name == "promised" && sent > 32<<20 {
			t.Errorf("%d bytes were read of an object that is too long from the start", sent)
		}
	}
}

func TestCheckpointsAreEncryptedAndTaggedAsImagesAre(t *testing.T) {
	var seen []request
	server := httptest.NewServer(record(t, &seen))
	defer server.Close()
	s := open(t, Config{
		Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s",
		Tags: map[string]string{"project": "cats"}, SSE: "aws:kms", SSEKMSKeyID: "alias/key",
	}, nil)
	if err := s.PutCheckpoint(t.Context(), "c", []byte("step 12")); err != nil || len(seen) != 1 {
		t.Fatalf("PutCheckpoint: %v after %d requests, want one", err, len(seen))
	}
	sum := sha256.Sum256([]byte("step 12"))
	hash := hex.EncodeToString(sum[:])
	got := seen[0]
	if got.Method != http.MethodPut || got.Path != "/pictures/c" || got.Body != "step 12" {
		t.Errorf("%s %s %q", got.Method, got.Path, got.Body)
	}
	for name, want := range map[string]string{
		"If-None-Match": "", "Content-Type": "application/octet-stream", "X-Amz-Meta-Sha256": hash, "X-Amz-Content-Sha256": hash,
		"X-Amz-Tagging": "project=cats", "X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/key",
	} {
		if diff := cmp.Diff(want, got.Header.Get(name)); diff != "" {
			t.Errorf("header %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSpansOfCheckpoints(t *testing.T) {
	server, c := startS3(t)
	r := &recorder{}
	s := open(t, c, r)
	get := func(ctx context.Context) error {
		_, err := s.GetCheckpoint(ctx, "c")
		return err
	}
	put := func(ctx context.Context) error { return s.PutCheckpoint(ctx, "c", bytes.Repeat([]byte("x"), 1000)) }
	remove := func(ctx context.Context) error { return s.DeleteCheckpoint(ctx, "c") }
	type seen struct {
		Name   string
		Status any
		Type   any
		Failed bool
	}
	var got []seen
	for _, step := range []func(context.Context) error{get, put, get, remove, func(ctx context.Context) error {
		if err := server.Suspend(); err != nil {
			t.Fatal(err)
		}
		return remove(ctx)
	}} {
		err := step(t.Context())
		last := r.spans[len(r.spans)-1]
		if last.ended != 1 || last.attrs["aws.s3.key"] != "c" || last.attrs["rpc.system"] != "aws-api" {
			t.Errorf("%s: %+v", last.name, last)
		}
		if (last.status == codes.Error) != (len(last.errors) == 1) || err == nil && last.status != codes.Unset {
			t.Errorf("%s: status %v, errors %v, returned %v", last.name, last.status, last.errors, err)
		}
		got = append(got, seen{last.name, last.attrs["http.response.status_code"], last.attrs["error.type"], last.status == codes.Error})
	}
	want := []seen{
		{"S3.GetObject", int64(404), nil, false}, // an answer, not a failure
		{"S3.PutObject", int64(200), nil, false},
		{"S3.GetObject", int64(200), nil, false},
		{"S3.DeleteObject", int64(204), nil, false},
		{"S3.DeleteObject", nil, TypeStorage, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// More objects than a page of a listing holds.
func TestListGoesThroughPages(t *testing.T) {
	server, c := startS3(t)
	s := open(t, c, nil)
	const images = 1203
	dir := filepath.Join(server.Dir(), "pictures", "cats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range images {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(Key("", "cats", int64(i), "0123456789abcdef", "png"))), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustPut(t, s, "cats-2/00000000-0123456789abcdef.png", cat())
	if err := s.PutCheckpoint(t.Context(), CheckpointKey("", "cats", 7, "0123456789abcdef"), []byte("step 12")); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	for o, err := range s.List(t.Context(), BatchPrefix("", "cats")) {
		if err != nil {
			t.Fatal(err)
		}
		if k, ok := ParseKey("", o.Key); !ok || k.Index != next || k.Batch != "cats" || o.Size != 1 || time.Since(o.Modified) > time.Hour {
			t.Fatalf("object %d is %+v", next, o)
		}
		next++
	}
	if next != images {
		t.Errorf("%d images, want %d", next, images)
	}
	var checkpoints []ObjectKey
	for o, err := range s.List(t.Context(), CheckpointPrefix("", "")) {
		if err != nil {
			t.Fatal(err)
		}
		k, ok := ParseCheckpointKey("", o.Key)
		if !ok || o.Size != 7 || time.Since(o.Modified) > time.Hour {
			t.Errorf("a checkpoint %+v", o)
		}
		checkpoints = append(checkpoints, k)
	}
	if diff := cmp.Diff([]ObjectKey{{Batch: "cats", Index: 7, Spec16: "0123456789abcdef"}}, checkpoints); diff != "" {
		t.Errorf("checkpoints (-want +got):\n%s", diff)
	}
}
