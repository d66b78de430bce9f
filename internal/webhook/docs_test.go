package webhook

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// example writes the program of a language in docs/webhooks.md to a file.
func example(t *testing.T, language, name string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllSubmatch(page, -1)
	if len(blocks) != 1 {
		t.Fatalf("%d examples in %s, want 1", len(blocks), language)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, blocks[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestExamplesVerify runs the receivers of docs/webhooks.md: they take what is signed by their key, among others, and
// nothing else.
func TestExamplesVerify(t *testing.T) {
	examples := []struct{ language, file string }{{"go", "main.go"}}
	if _, err := exec.LookPath("python3"); err == nil {
		examples = append(examples, struct{ language, file string }{"python", "receiver.py"})
	} else {
		t.Log("no python3 in PATH, which Go programs do not need: the example in Python is not run")
	}
	for _, tt := range examples {
		t.Run(tt.language, func(t *testing.T) {
			file := example(t, tt.language, tt.file)
			command := []string{"python3", file}
			if tt.language == "go" {
				program := filepath.Join(t.TempDir(), "receiver")
				if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, file).CombinedOutput(); err != nil {
					t.Fatalf("building it: %v\n%s", err, out)
				}
				command = []string{program}
			}
			url := receive(t, command)
			mine, other := key(t, 1), key(t, 2)
			body := []byte(`{"id":"b/7","status":"succeeded"}`)
			post := func(h http.Header, body []byte) int { return postTo(t, url, h, body) }
			for _, c := range []struct {
				name   string
				header http.Header
				body   []byte
				taken  bool
			}{
				{"well", signed([]Key{mine}, "b/7", time.Now(), body), body, true},
				{"signed by two keys", signed([]Key{other, mine}, "b/7#1", time.Now(), body), body, true},
				{"another key", signed([]Key{other}, "b/7", time.Now(), body), body, false},
				{"another body", signed([]Key{mine}, "b/7", time.Now(), body), []byte(`{"id":"b/8"}`), false},
				{"too old", signed([]Key{mine}, "b/7", time.Now().Add(-10*time.Minute), body), body, false},
				{"nothing", http.Header{}, body, false},
			} {
				if got := post(c.header, c.body); (got/100 == 2) != c.taken || got/100 == 5 {
					t.Errorf("%s: status %d, want it taken: %v", c.name, got, c.taken)
				}
			}
		})
	}
}

// receive runs a receiver until the test ends, and returns its URL.
func receive(t *testing.T, command []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var output bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "WEBHOOK_KEY="+keyText(1), "ADDR="+addr)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the example: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("it printed:\n%s", output.String())
		}
	})
	eventually(t, func() string {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return "the example does not listen: " + err.Error()
		}
		conn.Close()
		return ""
	})
	return "http://" + addr + "/stipple"
}

// postTo posts an event and returns the status.
func postTo(t *testing.T, url string, h http.Header, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h.Clone()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}
