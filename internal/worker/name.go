package worker

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// defaultName is the host's name, the process and a random part: unique among workers, readable by people, and one token of a subject.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker" // a host without a name is no reason not to work
	}
	host = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		default:
			return '-'
		}
	}, host)
	return fmt.Sprintf("%.40s-%d-%.6s", host, os.Getpid(), strings.ToLower(rand.Text()))
}
