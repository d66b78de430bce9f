package upload

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// request is what a store sees.
type request struct {
	Method, Host, Path string
	Header             http.Header
	Length             int64
	Encoding           []string
	Body               string
}

// record is a store that takes everything and notes the PUTs.
func record(t *testing.T, into *[]request) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("body: %v", err)
		}
		*into = append(*into, request{r.Method, r.Host, r.URL.Path, r.Header.Clone(), r.ContentLength, r.TransferEncoding, string(body)})
	})
}

func TestThePutIsPlain(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var seen []request
		server := httptest.NewUnstartedServer(record(t, &seen))
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		defer server.Close()
		c := Config{
			Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", Region: "eu-north-1",
			Tags: map[string]string{"project": "cats", "stage": "a b"}, SSE: "aws:kms", SSEKMSKeyID: "alias/key",
		}
		quietAWS(t)
		if secure {
			ca := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_CA_BUNDLE", ca)
		}
		s, err := Open(t.Context(), c, nil)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		defer s.Close()
		s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
		mustPut(t, s, testKey, cat())
		if len(seen) != 1 {
			t.Fatalf("%d requests, want 1", len(seen))
		}
		got := seen[0]
		if got.Method != http.MethodPut || got.Path != "/pictures/"+testKey || got.Length != 9 || len(got.Encoding) != 0 || got.Body != "a picture" {
			t.Errorf("secure %v: %s %s, %d bytes, encoding %q, body %q", secure, got.Method, got.Path, got.Length, got.Encoding, got.Body)
		}
		for name, want := range map[string]string{
			"Content-Encoding": "", "X-Amz-Trailer": "", "Expect": "", "X-Amz-Checksum-Crc32": "", "X-Amz-Sdk-Checksum-Algorithm": "",
			"If-None-Match": "*", "Content-Type": "image/png", "X-Amz-Content-Sha256": hexSHA256([]byte("a picture")),
			"X-Amz-Tagging": "project=cats&stage=a%20b", "X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/key", "X-Amz-Meta-Spec16": "0123456789abcdef",
			"X-Amz-Meta-Pixels-Sha256": strings.Repeat("cd", 32),
		} {
			if diff := cmp.Diff(want, got.Header.Get(name)); diff != "" {
				t.Errorf("secure %v: header %s (-want +got):\n%s", secure, name, diff)
			}
		}
		if auth := got.Header.Get("Authorization"); !strings.Contains(auth, "/eu-north-1/s3/aws4_request") {
			t.Errorf("secure %v: signed as %q", secure, auth)
		}
	}
}

func TestALargePutDoesNotWaitForContinue(t *testing.T) {
	var seen []request
	server := httptest.NewServer(record(t, &seen))
	defer server.Close()
	s := open(t, Config{Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s"}, nil)
	s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
	mustPut(t, s, testKey, bigCat(3<<20))
	if seen[0].Header.Get("Expect") != "" || seen[0].Length != 3<<20 {
		t.Errorf("Expect %q, %d bytes", seen[0].Header.Get("Expect"), seen[0].Length)
	}
}

func TestAddressing(t *testing.T) {
	for _, tt := range []struct {
		addressing, endpoint, path string
		want                       string
	}{
		{AddressingAuto, "", "", "https://pictures.s3.eu-west-1.amazonaws.com/k"},
		{AddressingPath, "", "", "https://s3.eu-west-1.amazonaws.com/pictures/k"},
		{AddressingAuto, "http://minio:9000", "", "http://minio:9000/pictures/k"},
		{AddressingVirtual, "https://example.org", "", "https://pictures.example.org/k"},
	} {
		s := open(t, Config{
			Bucket: "pictures", Endpoint: tt.endpoint, Addressing: tt.addressing, Region: "eu-west-1", AccessKeyID: "a", SecretAccessKey: "s",
		}, nil)
		url, err := s.Presign(t.Context(), "k", maxPresign)
		if got, _, _ := strings.Cut(url, "?"); err != nil || got != tt.want {
			t.Errorf("addressing %q, endpoint %q: %s, %v, want %s", tt.addressing, tt.endpoint, got, err, tt.want)
		}
	}
}
