package page

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Results do not hold prompts: only the pictures do. They are read for a list as far as that costs little, and
// remembered.
const (
	mostPrompts   = 200       // of a list whose pictures are read for them
	promptFile    = 512 << 10 // bytes of a picture that is read for its prompt alone
	promptsFor    = 400 * time.Millisecond
	promptsAtOnce = 8
	promptsKept   = 20_000
)

// prompts knows what pictures were drawn from. Its methods may be called from several goroutines.
type prompts struct {
	mu    sync.Mutex
	known map[string]string // by key; "" of a picture that does not say
}

func (p *prompts) of(key string) (prompt string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	prompt, known = p.known[key]
	return prompt, known
}

// learn takes a picture's file.
func (p *prompts) learn(key string, file []byte) {
	prompt := ""
	if meta, err := upload.ReadMeta(file); err == nil && meta.Job != nil {
		if job, err := queue.Decode(meta.Job, queue.Identity{Batch: "file"}); err == nil { // any identity: the file does not say
			prompt = queue.Or(job.Prompt, "")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]string{}
	}
	for other := range p.known {
		if len(p.known) < promptsKept {
			break
		}
		delete(p.known, other) // any: what is looked at is learned again
	}
	p.known[key] = prompt
}

// findPrompts fills in the prompts of pictures that are known, and of some that are not, for a short time.
func (s *System) findPrompts(ctx context.Context, some []landed) {
	bounded, cancel := context.WithTimeout(ctx, promptsFor)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(promptsAtOnce)
	left := mostPrompts
	for i := range some {
		l := &some[i]
		if l.image.Src == "" {
			continue
		}
		if prompt, known := s.about.of(l.image.Key); known {
			l.image.Prompt = prompt
			continue
		}
		if left--; left < 0 || l.size > promptFile || bounded.Err() != nil {
			continue
		}
		group.Go(func() error {
			if _, err := s.Read(bounded, l.image.Key, promptFile); err == nil {
				l.image.Prompt, _ = s.about.of(l.image.Key)
			}
			return nil // a picture without its prompt is shown all the same
		})
	}
	// None of them fails.
	_ = group.Wait()
}
