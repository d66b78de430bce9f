package infer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestEncodesAPromptOnce: a grid of seeds costs one encoding for each text, however many ask at once.
func TestEncodesAPromptOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		e, _ := start(t, m, 2, Config{})
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() { draw(t, e, request(uint64(i))) }) // three prompts, one empty negative
		}
		wg.Wait()
		for key, n := range m.encodes {
			if n != 1 {
				t.Errorf("%q was encoded %d times", key, n)
			}
		}
		if len(m.encodes) != 4 {
			t.Errorf("%d texts were encoded, want 4", len(m.encodes))
		}
	})
}

func TestEmbeddingsStayWithinTheirBytes(t *testing.T) {
	m := newFakeModel(t)
	c := newEmbeddings(m, 3*32, make(places, 1))
	get := func(text string) {
		t.Helper()
		if _, err := c.get(context.Background(), m.Tokenize(text, false)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		get(fmt.Sprint(i))
		get("often")
		if c.bytes > c.limit || len(c.byKey) != c.order.Len() || c.bytes != int64(32*c.order.Len()) {
			t.Fatalf("after %d: %d bytes in %d and %d entries", i, c.bytes, len(c.byKey), c.order.Len())
		}
	}
	if n := m.encodes[tokensKey(m.Tokenize("often", false))]; n != 1 {
		t.Errorf("the text in use was encoded %d times", n)
	}
}

// failing fails until it is told not to.
type failing struct {
	*fakeModel
	fail bool
}

func (f *failing) Encode(ctx context.Context, t Tokens) (*Embedding, error) {
	if f.fail {
		return nil, errors.New("no")
	}
	return f.fakeModel.Encode(ctx, t)
}

func TestAFailedEncodingIsTriedAgain(t *testing.T) {
	f := &failing{fakeModel: newFakeModel(t), fail: true}
	c := newEmbeddings(f, 1<<20, make(places, 1))
	tokens := f.Tokenize("x", false)
	if _, err := c.get(context.Background(), tokens); err == nil {
		t.Fatal("no error")
	}
	f.fail = false
	if _, err := c.get(context.Background(), tokens); err != nil {
		t.Errorf("got %v after the encoder recovered", err)
	}
}

// TestTheFirstAskerLeaves: whoever waited for its encoding encodes itself.
func TestTheFirstAskerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Second
		c := newEmbeddings(m, 1<<20, make(places, 1))
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.get(ctx, m.Tokenize("x", false)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one who left got %v", err)
			}
		})
		synctest.Wait()
		got, err := c.get(context.Background(), m.Tokenize("x", false))
		if err != nil || got.embedding == nil {
			t.Errorf("got %v, %v", got, err)
		}
		wg.Wait()
	})
}
