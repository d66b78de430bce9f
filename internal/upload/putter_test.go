package upload

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Keys are signed as a real store checks them.
func TestKeysThatNeedEscaping(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	for _, key := range []string{
		"acme/cats/00000001-0123456789abcdef.png", "bilder/größe/x.png", "a b/c+d/e&f=g/h%20i/~x_y-z.png", "(a)/[b]/{c}/'d'/!e*/f,g;h:i@j$k.png", "日本/猫.png",
	} {
		mustPut(t, s, key, cat())
		if o, err := s.Get(t.Context(), key); err != nil || string(o.Body) != "a picture" {
			t.Errorf("Get %q: %q, %v", key, o.Body, err)
		}
	}
}

// Buckets that only the SDK can sign for are put by it, in the same way.
func TestPutsByTheSDK(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	s.putter = nil
	mustPut(t, s, testKey, cat())
	if got, err := s.Put(t.Context(), testKey, cat()); err != nil || got.Existing == nil || got.Existing.Metadata != catMetadata() {
		t.Errorf("second Put: %+v, %v", got, err)
	}
	if err := s.PutCheckpoint(t.Context(), "c", []byte("step 12")); err != nil {
		t.Errorf("PutCheckpoint: %v", err)
	}
	if got, err := s.GetCheckpoint(t.Context(), "c"); err != nil || string(got.State) != "step 12" {
		t.Errorf("GetCheckpoint: %q, %v", got.State, err)
	}
	c.Bucket = "pictuers"
	s = open(t, c, nil)
	s.putter = nil
	_, err := s.Put(t.Context(), testKey, cat())
	checkMessage(t, err, TypeConfig, "the bucket does not exist")
}

// A directory bucket's requests are signed with a session's credentials, which the SDK draws.
func TestDirectoryBuckets(t *testing.T) {
	var put http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("session"):
			fmt.Fprintf(w, `<CreateSessionResult><Credentials><AccessKeyId>session-key</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>`+
				`<SessionToken>the-session</SessionToken><Expiration>%s</Expiration></Credentials></CreateSessionResult>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		case r.Method == http.MethodPut:
			put = r.Header.Clone()
		}
	}))
	defer server.Close()
	s := open(t, Config{Bucket: "pictures--use1-az4--x-s3", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", SSE: "AES256"}, nil)
	s.found.Store(&Capabilities{Conditional: true})
	mustPut(t, s, testKey, cat())
	if put.Get("X-Amz-S3session-Token") != "the-session" || !strings.Contains(put.Get("Authorization"), "Credential=session-key/") ||
		put.Get("If-None-Match") != "*" || put.Get(headerEncryption) != "AES256" {
		t.Errorf("put with %v", put)
	}
}

func TestSessionTokensAreSent(t *testing.T) {
	var seen []request
	server := httptest.NewServer(record(t, &seen))
	defer server.Close()
	s := open(t, Config{Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", SessionToken: "token"}, nil)
	s.found.Store(&Capabilities{Conditional: true})
	mustPut(t, s, testKey, cat())
	if got := seen[0].Header; got.Get("X-Amz-Security-Token") != "token" || !strings.Contains(got.Get("Authorization"), "x-amz-security-token") {
		t.Errorf("%v", got)
	}
}

// A bucket whose name is new is redirected to its region for a while.
func TestARedirectedPutArrives(t *testing.T) {
	var seen []request
	region := httptest.NewServer(record(t, &seen))
	defer region.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, region.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	s := open(t, Config{Bucket: "pictures", Endpoint: front.URL, AccessKeyID: "a", SecretAccessKey: "s"}, nil)
	s.found.Store(&Capabilities{Conditional: true})
	mustPut(t, s, testKey, cat())
	if len(seen) != 1 || seen[0].Body != "a picture" || seen[0].Header.Get("If-None-Match") != "*" {
		t.Errorf("%+v", seen)
	}
}

// S3 may begin to answer before it knows how a request ends.
func TestAnErrorWithStatus200(t *testing.T) {
	server, c := startS3(t)
	var puts atomic.Int32
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isPut(r) && puts.Add(1) == 1 {
			fail(w, http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
			return
		}
		pass.ServeHTTP(w, r)
	})
	mustPut(t, open(t, c, nil), testKey, cat())
	if puts.Load() != 2 {
		t.Errorf("%d attempts, want 2", puts.Load())
	}
}

// A proxy that changes a body on its way is found out: the store checks the hash.
func TestABodyThatIsChangedOnItsWay(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	o := cat()
	o.Body = []byte("a forgery")
	_, err := s.Put(t.Context(), testKey, o)
	checkMessage(t, err, TypeStorage, "other bytes arrived than were sent")
	if _, err := s.Head(t.Context(), testKey); !errors.Is(err, ErrNotFound) {
		t.Errorf("Head: %v, want ErrNotFound", err)
	}
}

func TestAnswerError(t *testing.T) {
	for _, tt := range []struct {
		status       int
		body         string
		wantStatus   int // 0 for no error
		code, errMsg string
	}{
		{200, "", 0, "", ""},
		{200, "<html>", 0, "", ""},
		{200, "<PutObjectResult/>", 0, "", ""},
		{200, "<Error><Code>InternalError</Code><Message>again</Message></Error>", 500, "InternalError", "again"},
		{412, `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>PreconditionFailed</Code><Key>k</Key></Error>", 412, "PreconditionFailed", ""},
		{403, "", 403, "", ""},
		{502, "<html><body>Bad Gateway", 502, "", ""},
		{400, "<Error></Error>", 400, "", ""},
		{301, "<Error><Code>PermanentRedirect</Code></Error>", 301, "PermanentRedirect", ""},
	} {
		err := answerError(&http.Response{StatusCode: tt.status}, []byte(tt.body))
		if tt.wantStatus == 0 {
			if err != nil {
				t.Errorf("%d %q: %v, want no error", tt.status, tt.body, err)
			}
			continue
		}
		answered, ok := errors.AsType[*smithyhttp.ResponseError](err)
		if !ok || answered.HTTPStatusCode() != tt.wantStatus || codeOf(err) != tt.code {
			t.Errorf("%d %q: %v, want %d %s", tt.status, tt.body, err, tt.wantStatus, tt.code)
		}
		if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorMessage() != tt.errMsg {
			t.Errorf("%d %q: message %q", tt.status, tt.body, api.ErrorMessage())
		}
	}
}

// FuzzAnswerError: any answer is read, and one that is no success is an error.
func FuzzAnswerError(f *testing.F) {
	f.Add(200, []byte(""))
	f.Add(500, []byte("<Error><Code>InternalError</Code></Error>"))
	f.Add(200, []byte("<Error><Code>&#x1F408;</Code><Error/>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := answerError(&http.Response{StatusCode: status}, body)
		if good := status >= 200 && status < 300; err == nil && !good {
			t.Errorf("status %d with %q is no error", status, body)
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
