package upload

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// memory is a store without conditions, as some are: it keeps what it was told last.
type memory struct {
	mu       sync.Mutex
	objects  map[string]http.Header
	bodies   map[string][]byte
	puts     int
	refuse   bool   // answers 501 to If-None-Match instead of ignoring it
	unknown  string // answers 501 to this header as well
	unread   bool   // answers 403 to HEAD and GET
	undelete bool   // and to DELETE
}

func newMemory() *memory {
	return &memory{objects: map[string]http.Header{}, bodies: map[string][]byte{}}
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := r.URL.Path
	switch {
	case key == "/pictures/" || key == "/pictures":
	case r.Method == http.MethodPut && (m.refuse && r.Header.Get("If-None-Match") != "" || r.Header.Get(m.unknown) != ""):
		fail(w, http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			fail(w, http.StatusBadRequest, "IncompleteBody", err.Error())
			return
		}
		if !strings.Contains(key, ".probe/") {
			m.puts++
		}
		m.objects[key], m.bodies[key] = r.Header.Clone(), body
	case r.Method == http.MethodDelete && !m.undelete:
		delete(m.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete || m.unread:
		fail(w, http.StatusForbidden, "AccessDenied", "Access Denied")
	case m.objects[key] == nil:
		fail(w, http.StatusNotFound, "NoSuchKey", "no such key")
	default:
		for name, values := range m.objects[key] {
			if strings.HasPrefix(name, "X-Amz-Meta-") {
				w.Header()[name] = values
			}
		}
		if _, err := w.Write(m.bodies[key]); err != nil && r.Method == http.MethodGet {
			panic(http.ErrAbortHandler)
		}
	}
}

// openMemory opens the store that m is.
func openMemory(t *testing.T, m *memory) *Store {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return open(t, Config{Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", MaxAttempts: 2, MaxBackoff: time.Millisecond}, nil)
}

func TestStoresWithoutConditions(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("refuse=%v", refuse), func(t *testing.T) {
			m := newMemory()
			m.refuse = refuse
			s := openMemory(t, m)
			mustPut(t, s, testKey, cat())
			got, err := s.Put(t.Context(), testKey, Object{Body: []byte("another"), Metadata: Metadata{Spec16: "x"}})
			if err != nil || got.Created || got.Existing == nil || got.Existing.Metadata != catMetadata() || m.puts != 1 {
				t.Errorf("second Put: %+v, %v after %d puts, want the existing object and one put", got, err, m.puts)
			}
			if len(m.objects) != 1 {
				t.Errorf("%d objects, want 1: the probe is still there", len(m.objects))
			}
			checkCapabilities(t, s, Capabilities{Read: true, Delete: true, Encrypt: true}, "does not keep If-None-Match: each image is looked for")
		})
	}
}

// What promise 1 costs without conditions: two writers that pass each other both put, and one object is left, of one of them.
func TestTwoWritersOnAStoreWithoutConditions(t *testing.T) {
	m := newMemory()
	s := openMemory(t, m)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var created atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			o := cat()
			o.Metadata.Attempt = i + 1
			got, err := s.Put(t.Context(), testKey, o)
			if err != nil || !got.Created && got.Existing == nil {
				t.Errorf("Put: %+v, %v", got, err)
			}
			if got.Created {
				created.Add(1)
			}
		})
	}
	wg.Wait()
	o, err := s.Get(t.Context(), testKey)
	want := catMetadata()
	want.Attempt = o.Metadata.Attempt
	if err != nil || string(o.Body) != "a picture" || o.Metadata != want || len(m.objects) != 1 || created.Load() < 1 || int(created.Load()) != m.puts {
		t.Errorf("%+v, %v; %d objects, %d puts, %d created", o, err, len(m.objects), m.puts, created.Load())
	}
}

// checkCapabilities checks what a store is found to be able to do, and the words of its warnings, in order.
func checkCapabilities(t *testing.T, s *Store, want Capabilities, words ...string) {
	t.Helper()
	got, known := s.Capabilities()
	if diff := cmp.Diff(want, got); diff != "" || !known {
		t.Errorf("known %v, capabilities (-want +got):\n%s", known, diff)
	}
	warnings := got.Warnings()
	if len(warnings) != len(words) {
		t.Errorf("%d warnings, want %d: %q", len(warnings), len(words), warnings)
		return
	}
	for i, w := range words {
		if !strings.Contains(warnings[i], w) || strings.Contains(warnings[i], "\n") {
			t.Errorf("warning %q, want one line with %q", warnings[i], w)
		}
	}
}

func TestCapabilities(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*memory)
		want   Capabilities
		words  []string
	}{
		{"may not delete", func(m *memory) { m.undelete = true }, Capabilities{Read: true, Encrypt: true}, []string{"If-None-Match", "s3:DeleteObject"}},
		{"may not read", func(m *memory) { m.unread = true }, Capabilities{Delete: true, Encrypt: true}, []string{"puts its image again", "s3:GetObject"}},
		{"may only put", func(m *memory) { m.unread, m.undelete, m.refuse = true, true, true }, Capabilities{Encrypt: true}, []string{"puts its image again", "s3:GetObject", "s3:DeleteObject"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			tt.change(m)
			s := openMemory(t, m)
			for range 2 {
				if err := s.Check(t.Context()); err != nil {
					t.Fatalf("Check: %v", err)
				}
			}
			checkCapabilities(t, s, tt.want, tt.words...)
			mustPut(t, s, testKey, cat())
		})
	}
}

// A header that the store does not know is not taken for the condition.
func TestSettingsThatAreNotImplemented(t *testing.T) {
	for header, want := range map[string]string{
		"X-Amz-Tagging": "unset S3_TAGS or S3_SSE, if that is what it means (501 NotImplemented",
		"Content-Type":  "does not know something that the request asks for: unset S3_TAGS",
	} {
		m := newMemory()
		m.unknown = header
		server := httptest.NewServer(m)
		defer server.Close()
		s := open(t, Config{
			Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", Tags: map[string]string{"a": "b"}, SSE: "AES256",
		}, nil)
		checkMessage(t, s.Check(t.Context()), TypeConfig, want)
		if can, known := s.Capabilities(); known {
			t.Errorf("%s: capabilities %+v of a store that takes no PUT", header, can)
		}
	}
}

func TestAStoreThatStopsKeepingConditions(t *testing.T) {
	server, c := startS3(t)
	var off atomic.Bool
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if off.Load() && r.Header.Get("If-None-Match") != "" {
			fail(w, http.StatusNotImplemented, "NotImplemented", "not implemented")
			return
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, c, nil)
	mustPut(t, s, "one", cat())
	checkCapabilities(t, s, Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
	off.Store(true)
	mustPut(t, s, "two", cat())
	if got, err := s.Put(t.Context(), "two", cat()); err != nil || got.Existing == nil {
		t.Errorf("Put: %+v, %v, want the existing object", got, err)
	}
	checkCapabilities(t, s, Capabilities{Read: true, Delete: true, Encrypt: true}, "If-None-Match")
}

func TestWriteOnlyCredentials(t *testing.T) {
	server, c := startS3(t)
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != http.MethodPut {
			fail(w, http.StatusForbidden, "AccessDenied", "Access Denied")
			return
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, c, nil)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	checkCapabilities(t, s, Capabilities{Conditional: true, Encrypt: true}, "drawn again", "s3:DeleteObject")
	if _, err := s.Head(t.Context(), testKey); !errors.Is(err, ErrUnknown) {
		t.Errorf("Head: %v, want ErrUnknown", err)
	}
	mustPut(t, s, testKey, cat())
	if got, err := s.Put(t.Context(), testKey, cat()); err != nil || got.Created || got.Existing != nil {
		t.Errorf("second Put: %+v, %v, want an object that may not be looked at", got, err)
	}
}

// A store that takes the header and says nothing of encryption: versitygw does.
func TestEncryptionThatIsIgnored(t *testing.T) {
	_, c := startS3(t)
	c.SSE = "AES256"
	s := open(t, c, nil)
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("Check: %v", err)
	}
	checkCapabilities(t, s, Capabilities{Conditional: true, Read: true, Delete: true}, "does not say that it encrypts")
}

func TestEncryptionAndTagsOfARealStore(t *testing.T) {
	server, c := startS3(t)
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut {
			w.Header().Set("X-Amz-Server-Side-Encryption", r.Header.Get("X-Amz-Server-Side-Encryption"))
		}
		pass.ServeHTTP(w, r)
	})
	c.SSE, c.Tags = "AES256", map[string]string{"project": "two cats + a dog", "größe": "1:2"}
	s := open(t, c, nil)
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("Check: %v", err)
	}
	checkCapabilities(t, s, Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
	mustPut(t, s, testKey, cat())
	if err := s.PutCheckpoint(t.Context(), "c", nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{testKey, "c"} {
		out, err := s.client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String("pictures"), Key: aws.String(key)})
		if err != nil {
			t.Fatalf("GetObjectTagging: %v", err)
		}
		got := map[string]string{}
		for _, tag := range out.TagSet {
			got[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		if diff := cmp.Diff(c.Tags, got); diff != "" {
			t.Errorf("tags of %s (-want +got):\n%s", key, diff)
		}
	}
}
