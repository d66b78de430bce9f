package ops

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/upload"
)

// Stores opens the stores of buckets, each once. Its methods may be called from several goroutines.
type Stores struct {
	Config upload.Config // Bucket "" is the one that each result names
	Tracer trace.Tracer  // nil makes no spans

	mu   sync.Mutex
	open map[string]*upload.Store // by bucket
}

// Get returns the store of the bucket that was set, else of the one that a result names.
func (s *Stores) Get(ctx context.Context, bucket string) (*upload.Store, error) {
	c := s.Config
	if c.Bucket == "" {
		c.Bucket = bucket
	}
	if c.Bucket == "" {
		return nil, errors.New("the result names no bucket; set --s3-bucket")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if store := s.open[c.Bucket]; store != nil {
		return store, nil
	}
	store, err := upload.Open(ctx, c, s.Tracer)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", c.Bucket, err)
	}
	if s.open == nil {
		s.open = map[string]*upload.Store{}
	}
	s.open[c.Bucket] = store
	return store, nil
}

// Close closes what was opened.
func (s *Stores) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, store := range s.open {
		store.Close()
	}
	s.open = nil
}
