package infer

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// embeddings encodes texts and keeps what it encoded, up to a number of bytes, so that a grid of seeds encodes each prompt once. Goroutines that
// ask for the same text at once share one encoding.
type embeddings struct {
	encoder TextEncoder
	limit   int64
	room    room

	mu    sync.Mutex
	byKey map[string]*list.Element // of *entry
	order *list.List               // most recently used first
	bytes int64
}

type entry struct {
	key       string
	ready     chan struct{} // closed when embedding or err is set
	embedding *Embedding
	err       error
}

func newEmbeddings(encoder TextEncoder, limit int64, r room) *embeddings {
	return &embeddings{encoder: encoder, limit: limit, room: r, byKey: map[string]*list.Element{}, order: list.New()}
}

// encoded is an embedding and what it cost the one who asked.
type encoded struct {
	embedding    *Embedding
	waited, took time.Duration
	hit          bool
}

// get returns the embedding of t. An encoding that failed, or whose asker left, is not kept: the next one tries again.
func (c *embeddings) get(ctx context.Context, t Tokens) (encoded, error) {
	var res encoded
	key := tokensKey(t)
	for {
		e, mine := c.claim(key)
		if mine {
			return c.encode(ctx, e, t, res)
		}
		start := time.Now()
		select {
		case <-e.ready:
		case <-ctx.Done():
			return res, ctx.Err()
		}
		res.waited += time.Since(start)
		if e.err == nil {
			res.embedding, res.hit = e.embedding, true
			return res, nil
		}
	}
}

// claim returns the entry of key; mine says that the caller has to fill it.
func (c *embeddings) claim(key string) (e *entry, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[key]; ok {
		c.order.MoveToFront(el)
		return el.Value.(*entry), false
	}
	e = &entry{key: key, ready: make(chan struct{})}
	c.byKey[key] = c.order.PushFront(e)
	return e, true
}

func (c *embeddings) encode(ctx context.Context, e *entry, t Tokens, res encoded) (_ encoded, err error) {
	defer func() { c.settle(e, err) }()
	start := time.Now()
	outside := c.room.do(ctx, func() {
		defer recovered(&err, "encoding the text")
		begin := time.Now()
		res.waited += begin.Sub(start)
		e.embedding, err = c.encoder.Encode(ctx, t)
		res.embedding, res.took = e.embedding, time.Since(begin)
	})
	return res, errors.Join(outside, err)
}

// settle publishes the entry, drops it if it failed, and keeps the cache within its bytes.
func (c *embeddings) settle(e *entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.err = err
	close(e.ready)
	if err != nil {
		c.remove(c.byKey[e.key])
		return
	}
	c.bytes += e.embedding.bytes()
	for el := c.order.Back(); el != nil && c.bytes > c.limit; {
		prev := el.Prev()
		if old := el.Value.(*entry); old.done() {
			c.remove(el)
		}
		el = prev
	}
}

func (c *embeddings) remove(el *list.Element) {
	e := el.Value.(*entry)
	if e.err == nil {
		c.bytes -= e.embedding.bytes()
	}
	c.order.Remove(el)
	delete(c.byKey, e.key)
}

func (e *entry) done() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// tokensKey is the same for texts that a model can't tell apart.
func tokensKey(t Tokens) string {
	key := make([]byte, 1, 256)
	if t.Zero {
		key[0] |= 1
	}
	if t.Negative {
		key[0] |= 2
	}
	for _, ids := range t.IDs {
		key = binary.AppendUvarint(key, uint64(len(ids)))
		for _, id := range ids {
			key = binary.AppendVarint(key, id)
		}
	}
	return string(key)
}
