package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadFrame(t *testing.T) {
	const header = "NATS/1.0\r\nNats-Msg-Id: b/1\r\n\r\n"
	for _, tt := range []struct {
		wire, op, subject, reply, body string
	}{
		{"PING\r\n", "PING", "", "", ""},
		{"INFO {\"a\":1}\r\n", "INFO", "", "", ""},
		{"pub progress.b.1 2\r\nhi\r\n", "PUB", "progress.b.1", "", "hi"},
		{"PUB $JS.ACK.x _INBOX.a 4\r\n+ACK\r\n", "PUB", "$JS.ACK.x", "_INBOX.a", "+ACK"},
		{"PUB a 0\r\n\r\n", "PUB", "a", "", ""},
		{"HPUB results.b.1 _INBOX.a 30 32\r\n" + header + "ok\r\n", "HPUB", "results.b.1", "_INBOX.a", "ok"},
		{"HPUB results.b.1 30 32\r\n" + header + "ok\r\n", "HPUB", "results.b.1", "", "ok"},
		{"MSG _INBOX.a 7 2\r\n{}\r\n", "MSG", "_INBOX.a", "", "{}"},
		{"MSG jobs.high.m.b 7 $JS.ACK.y 2\r\n{}\r\n", "MSG", "jobs.high.m.b", "$JS.ACK.y", "{}"},
		{"HMSG jobs.high.m.b 7 $JS.ACK.y 30 34\r\n" + header + "\r\n\r\n\r\n", "HMSG", "jobs.high.m.b", "$JS.ACK.y", "\r\n\r\n"},
		{"HMSG jobs.high.m.b 7 30 30\r\n" + header + "\r\n", "HMSG", "jobs.high.m.b", "", ""},
	} {
		// A buffer smaller than a line, and another operation behind.
		r := bufio.NewReaderSize(strings.NewReader(tt.wire+"PONG\r\n"), 16)
		f, err := readFrame(r)
		if err != nil {
			t.Errorf("%q: %v", tt.wire, err)
			continue
		}
		if f.op != tt.op || f.subject != tt.subject || f.reply != tt.reply || string(f.body()) != tt.body || string(f.raw) != tt.wire {
			t.Errorf("%q: got %s %s %s %q, raw %q", tt.wire, f.op, f.subject, f.reply, f.body(), f.raw)
		}
		if f, err = readFrame(r); err != nil || f.op != "PONG" {
			t.Errorf("behind %q: %v, %v", tt.wire, f, err)
		}
		if _, err = readFrame(r); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
}

func TestReadFrameThatIsNone(t *testing.T) {
	for _, wire := range []string{
		"PUB\r\n", "PUB a\r\n", "PUB a b c 1\r\nx\r\n", "PUB a x\r\n", "PUB a -1\r\n", "PUB a 99999999999\r\n",
		"PUB a 5\r\nhi\r\n", "PUB a 2\r\nhi", "PING", "HMSG a 1 2\r\nhi\r\n",
	} {
		if f, err := readFrame(bufio.NewReader(strings.NewReader(wire))); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q: got %+v, %v", wire, f, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, seed := range []string{"PING\r\n", "PUB a 2\r\nhi\r\n", "HMSG a 1 r 3 5\r\nabcde\r\n", "MSG a 1 2\r\nhi\r\nPUB x y 1\r\nz\r\n", "\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := bufio.NewReader(bytes.NewReader(wire))
		var relayed []byte
		for {
			f, err := readFrame(r)
			if err != nil {
				break
			}
			f.body()
			relayed = append(relayed, f.raw...)
		}
		if !bytes.HasPrefix(wire, relayed) {
			t.Errorf("of %q came %q", wire, relayed)
		}
	})
}
