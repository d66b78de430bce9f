package upload

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// checkMessage checks what a user is told: the class, one line, the words, and no secret.
func checkMessage(t *testing.T, err error, typ, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("error %v (%T) is no *Error", err, err)
		return
	}
	if e.ErrorType() != typ || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v\nwant %s: … %s", e.ErrorType(), err, typ, want)
	}
	if strings.Contains(err.Error(), "stipple-secret") || strings.Contains(err.Error(), "X-Amz-Signature") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("a secret in %v", err)
	}
}

func TestWhatAUserIsToldByARealStore(t *testing.T) {
	server, good := startS3(t)
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no such bucket", func(c *Config) { c.Bucket = "pictuers" }, "the bucket does not exist: create it or correct S3_BUCKET (404"},
		{"unknown key", func(c *Config) { c.AccessKeyID = "nobody" }, "correct AWS_ACCESS_KEY_ID (403 InvalidAccessKeyId"},
		{"wrong secret", func(c *Config) { c.SecretAccessKey = "wrong-secret" }, "correct AWS_SECRET_ACCESS_KEY (403 SignatureDoesNotMatch"},
		{"wrong region", func(c *Config) { c.Region = "eu-north-1" }, "the bucket is in another region: set AWS_REGION"},
		{"invalid bucket", func(c *Config) { c.Bucket = "No_Such" }, "correct S3_BUCKET"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			s := open(t, c, nil)
			checkMessage(t, s.Check(t.Context()), TypeConfig, tt.want)
			_, err := s.Put(t.Context(), testKey, cat())
			checkMessage(t, err, TypeConfig, tt.want)
			for _, err := range s.List(t.Context(), "") {
				checkMessage(t, err, TypeConfig, tt.want)
			}
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		c := good
		c.AccessKeyID, c.SecretAccessKey = "", ""
		checkMessage(t, open(t, c, nil).Check(t.Context()), TypeConfig, "no usable credentials: set AWS_ACCESS_KEY_ID")
	})
	t.Run("away", func(t *testing.T) {
		if err := server.Suspend(); err != nil {
			t.Fatal(err)
		}
		_, err := open(t, good, nil).Put(t.Context(), testKey, cat())
		checkMessage(t, err, TypeStorage, "connection refused): is the store up, and AWS_ENDPOINT_URL_S3 right?")
	})
}

func TestWhatAUserIsToldOfAnswers(t *testing.T) {
	tests := []struct {
		status       int
		code         string
		header       string // x-amz-bucket-region
		typ, message string
	}{
		{403, "AccessDenied", "", TypeConfig, "access denied: allow s3:PutObject"},
		{403, "RequestTimeTooSkewed", "", TypeConfig, "set the clock (NTP) (403 RequestTimeTooSkewed"},
		{400, "ExpiredToken", "", TypeConfig, "renew AWS_SESSION_TOKEN"},
		{301, "PermanentRedirect", "eu-north-1", TypeConfig, "set AWS_REGION=eu-north-1"},
		{400, "AuthorizationHeaderMalformed", "", TypeConfig, "set AWS_REGION to the bucket's"},
		{400, "KMS.NotFoundException", "", TypeConfig, "S3_SSE_KMS_KEY_ID"},
		{400, "InvalidTag", "", TypeConfig, "correct S3_TAGS (400 InvalidTag; the message; request 4442587FB7D0A2F9)"},
		{400, "InvalidArgument", "", TypeConfig, "the store refuses the request (400 InvalidArgument; the message; request 4442587FB7D0A2F9)"},
		{400, "kms:KeyNotFound", "", TypeConfig, "S3_SSE_KMS_KEY_ID"},
		{501, "NotImplemented", "", TypeConfig, "does not know something that the request asks for (501"},
		{409, "ConditionalRequestConflict", "", TypeStorage, "failing or too busy (409"},
		{503, "ServiceUnavailable", "", TypeStorage, "failing or too busy (503"},
		{507, "XMinioStorageFull", "", TypeStorage, "failing or too busy (507"},
		{400, "RequestTimeout", "", TypeStorage, "did not receive the request in time"},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.header != "" {
					w.Header().Set("X-Amz-Bucket-Region", tt.header)
				}
				fail(w, tt.status, tt.code, "the message")
			}))
			defer server.Close()
			s := open(t, Config{
				Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", MaxAttempts: 2, MaxBackoff: time.Millisecond,
			}, nil)
			_, err := s.Put(t.Context(), testKey, cat())
			checkMessage(t, err, tt.typ, tt.message)
		})
	}
}

func TestWhatAUserIsToldOfWrongEndpoints(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write([]byte("<html>welcome</html>")); err != nil {
			t.Logf("page: %v", err) // the client has seen enough
		}
	})
	refusing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "what?", http.StatusBadRequest) })
	plain, secure := httptest.NewServer(page), httptest.NewTLSServer(page)
	defer plain.Close()
	defer secure.Close()
	refuses := httptest.NewServer(refusing)
	defer refuses.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, endpoint, typ, want string }{
		{"a web page", plain.URL, TypeConfig, "this is no S3 API, correct AWS_ENDPOINT_URL_S3"},
		{"another API", refuses.URL, TypeConfig, "AWS_ENDPOINT_URL_S3 (400"},
		{"TLS where there is none", "https" + strings.TrimPrefix(plain.URL, "http"), TypeConfig, "use http:// in AWS_ENDPOINT_URL_S3"},
		{"an unknown CA", secure.URL, TypeConfig, "set AWS_CA_BUNDLE"},
		{"nobody there", "http://" + closed.Addr().String(), TypeStorage, "connection refused"},
		{"no such host", "http://no-such-host.invalid", TypeStorage, "no such host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, Config{
				Bucket: "pictures", Endpoint: tt.endpoint, AccessKeyID: "a", SecretAccessKey: "s", MaxAttempts: 2, MaxBackoff: time.Millisecond,
			}, nil)
			checkMessage(t, s.Check(t.Context()), tt.typ, tt.want)
		})
	}
}

// What is told of a refusal names the settings that the refused request carried.
func TestWhatAUserIsToldOfRefusedSettings(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		config Config
		want   string
	}{
		{400, "InvalidArgument", Config{SSE: "AES256"}, "the store refuses the request: correct S3_SSE, if that is what it means (400"},
		{400, "InvalidRequest", Config{Tags: map[string]string{"a": "b"}, SSE: "aws:kms", SSEKMSKeyID: "k"}, "correct S3_TAGS or S3_SSE or S3_SSE_KMS_KEY_ID, if"},
		{501, "NotImplemented", Config{SSE: "aws:kms"}, "unset S3_SSE, if that is what it means (501"},
		{403, "AccessDenied", Config{Tags: map[string]string{"a": "b"}}, "on the bucket; for S3_TAGS s3:PutObjectTagging (403"},
		{403, "AccessDenied", Config{SSE: "aws:kms", SSEKMSKeyID: "k"}, "on the bucket; for S3_SSE_KMS_KEY_ID kms:GenerateDataKey and kms:Decrypt on the key (403"},
		{403, "AccessDenied", Config{SSE: "AES256"}, "on the bucket (403"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fail(w, tt.status, tt.code, "the message")
			}))
			defer server.Close()
			tt.config.Bucket, tt.config.Endpoint, tt.config.AccessKeyID, tt.config.SecretAccessKey = "pictures", server.URL, "a", "s"
			s := open(t, tt.config, nil)
			_, err := s.Put(t.Context(), testKey, cat())
			checkMessage(t, err, TypeConfig, tt.want)
			checkMessage(t, s.PutCheckpoint(t.Context(), "c", nil), TypeConfig, tt.want)
			// A request without them says nothing of them.
			if err := s.Delete(t.Context(), testKey); err == nil || strings.Contains(err.Error(), "S3_SSE") || strings.Contains(err.Error(), "S3_TAGS") {
				t.Errorf("Delete: %v", err)
			}
		})
	}
}
