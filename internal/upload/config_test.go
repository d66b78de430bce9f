package upload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidateNamesTheSetting(t *testing.T) {
	good := Config{
		Bucket: "pictures", Prefix: "acme/", Endpoint: "http://127.0.0.1:9000", AccessKeyID: "a", SecretAccessKey: "s",
		Addressing: AddressingPath, Tags: map[string]string{"a": "b"}, SSE: "aws:kms", SSEKMSKeyID: "alias/k",
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	tests := map[string]func(*Config){
		"S3_BUCKET is empty":                 func(c *Config) { c.Bucket = "" },
		"S3_PREFIX":                          func(c *Config) { c.Prefix = "acme" },
		"AWS_ENDPOINT_URL_S3":                func(c *Config) { c.Endpoint = "127.0.0.1:9000" },
		"AWS_SECRET_ACCESS_KEY belong":       func(c *Config) { c.SecretAccessKey = "" },
		"S3_ADDRESSING_STYLE":                func(c *Config) { c.Addressing = "dns" },
		"S3_TAGS":                            func(c *Config) { c.Tags = map[string]string{"": "b"} },
		"S3_SSE is":                          func(c *Config) { c.SSE, c.SSEKMSKeyID = "AES128", "" },
		"S3_SSE_KMS_KEY_ID is set":           func(c *Config) { c.SSE = "AES256" },
		"S3_SSE_KMS_KEY_ID is":               func(c *Config) { c.SSEKMSKeyID = "alias/k\r\nx: y" },
		"timeouts, attempts and uploads":     func(c *Config) { c.MaxAttempts = -1 },
		"S3_BUCKET is empty: name\nS3_SSE i": func(c *Config) { c.Bucket, c.SSE = "", "x" },
	}
	for want, change := range tests {
		c := good
		change(&c)
		err := c.Validate()
		for part := range strings.SplitSeq(want, "\n") {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("error %v does not say %q", err, part)
			}
		}
		if _, openErr := Open(t.Context(), c, nil); openErr == nil || !strings.Contains(openErr.Error(), err.Error()) {
			t.Errorf("Open: %v, want %v", openErr, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret-") {
			t.Errorf("a secret in %v", err)
		}
	}
}

func TestParseTags(t *testing.T) {
	tests := []struct {
		in   string
		want map[string]string
		err  string
	}{
		{"", map[string]string{}, ""},
		{"  ", map[string]string{}, ""},
		{"project=cats", map[string]string{"project": "cats"}, ""},
		{" a = b , c=d=e, f= ", map[string]string{"a": "b", "c": "d=e", "f": ""}, ""},
		{"a", nil, "key=value"},
		{"=b", nil, "key=value"},
		{"a=b,", nil, "key=value"},
		{"a=1,a=2", nil, "twice"},
		{"a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=10,k=11", nil, "S3 takes 10"},
		{"a=" + strings.Repeat("x", 257), nil, "256"},
		{"größe=1 + 2 @ a/b:c.d_e-f", map[string]string{"größe": "1 + 2 @ a/b:c.d_e-f"}, ""},
		{"a=x&y", nil, `has "&" in it`},
		{"a=x\ny", nil, `has "\n" in it`},
		{"AWS:x=1", nil, "AWS's own"},
		{"a=\xff", nil, "UTF-8"},
	}
	for _, tt := range tests {
		got, err := ParseTags(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseTags(%.20q): %v, want an error about %s", tt.in, err, tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("ParseTags(%q): %v, (-want +got):\n%s", tt.in, err, diff)
		}
	}
	if got, want := tagging(map[string]string{"b": "x y", "a": "1+2"}), "a=1%2B2&b=x%20y"; got != want {
		t.Errorf("tagging = %q, want %q", got, want)
	}
}

// FuzzParseTags: what is accepted is within S3's limits.
func FuzzParseTags(f *testing.F) {
	f.Add("project=cats,stage=dev")
	f.Add(",=,")
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := ParseTags(s)
		if err == nil && validateTags(tags) != nil {
			t.Errorf("ParseTags(%q) = %q", s, tags)
		}
	})
}
