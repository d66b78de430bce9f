package upload

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// TestCredentialsThatDoNotCome are asked for again, as often as it takes, wherever they come from.
func TestCredentialsThatDoNotCome(t *testing.T) {
	server, c := startS3(t)
	for _, source := range []struct {
		name   string
		answer string // with the access key and the secret in it
		ask    func(t *testing.T, url string)
	}{
		{"a container's role", `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":"2999-01-01T00:00:00Z"}`, func(t *testing.T, url string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
		}},
		{"a web identity's role", `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
			<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>
			</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, func(t *testing.T, url string) {
			token := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(token, []byte("a token"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_ENDPOINT_URL_STS", url)
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/worker")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
		}},
	} {
		t.Run(source.name, func(t *testing.T) {
			var asked atomic.Int32
			ended := make(chan struct{})
			role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					<-ended
					return
				}
				if _, err := fmt.Fprintf(w, source.answer, server.AccessKey(), server.SecretKey()); err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(role.Close)
			defer close(ended)
			quietAWS(t)
			source.ask(t, role.URL)
			c := c
			c.AccessKeyID, c.SecretAccessKey, c.AttemptTimeout = "", "", 200*time.Millisecond
			s, err := Open(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for err = s.Check(ctx); err != nil && ctx.Err() == nil; err = s.Check(ctx) {
				time.Sleep(20 * time.Millisecond)
			}
			if err != nil {
				t.Errorf("no credentials, which were asked for %d times: %v", asked.Load(), err)
			}
		})
	}
}
