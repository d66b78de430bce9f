package webhook

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"
)

// nameServer answers every question for an IPv4 address with 127.0.0.1, and every other with nothing.
func nameServer(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() { // ended by the clean-up
		defer close(done)
		question := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			conn.WriteTo(answerTo(question[:n]), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answerTo is a DNS answer (RFC 1035) to a message with one question.
func answerTo(question []byte) []byte {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root, type and class
	if end > len(question) {
		return nil
	}
	answer := append([]byte{}, question[:end]...)
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer without records
	if binary.BigEndian.Uint16(question[end-4:]) == 1 {
		answer[7] = 1
		answer = append(answer, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return answer
}

// TestNamesThatLeadInside: a host of the list whose name leads to an address inside is not reached, unless that address is
// in the list.
func TestNamesThatLeadInside(t *testing.T) {
	r := newReceiver(t, nil)
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	resolver := nameServer(t)
	hook := fmt.Sprintf("https://example.com:%s/hook", u.Port())
	list := "example.com:" + u.Port()
	q := &memory{}
	q.add(Message{ID: "b/0", Batch: "b", Stored: time.Now()})
	d, stop := dispatch(t, Config{Resolver: resolver}, list, q, book{"b": hook}, r)
	counted(t, d, func(c Counts) bool { return c.Failed >= 2 })
	stop()
	if n := len(r.events()); n != 0 || d.Counts().Delivered != 0 {
		t.Errorf("%d requests reached an address inside", n)
	}
	d, _ = dispatch(t, Config{Resolver: resolver}, list+",127.0.0.0/8", q, book{"b": hook}, r)
	counted(t, d, func(c Counts) bool { return c.Delivered == 1 })
}
