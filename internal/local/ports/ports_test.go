package ports

import (
	"net"
	"strconv"
	"testing"
)

// TestFree draws ports that can be bound, below those of the system, each once, and passes over the taken ones.
func TestFree(t *testing.T) {
	seen := map[int]bool{}
	for i := range block / 2 {
		port, err := Free()
		if err != nil {
			t.Fatal(err)
		}
		if port < first || port >= 32768 || seen[port] {
			t.Errorf("drew %d", port)
		}
		seen[port] = true
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("the port drawn is not free: %v", err)
			continue
		}
		t.Cleanup(func() { _ = l.Close() })
		if i == 0 {
			drawn.Add(block - 1) // so that this one's turn comes again at once
		}
	}
}

func TestAllAreTaken(t *testing.T) {
	for range block {
		port, err := Free()
		if err != nil {
			return
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	if port, err := Free(); err == nil {
		t.Errorf("drew %d of a block that is taken", port)
	}
}
