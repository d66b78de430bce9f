package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// MaxCheckpoint is the most bytes of a checkpoint. The state of a sample is a few arrays of latents: of the largest
// pictures, 2048×2048 pixels with a sampler that looks back four steps, about 5 MiB.
const MaxCheckpoint = 64 << 20

// Checkpoint is the state of a preempted job, as it is stored.
type Checkpoint struct {
	State    []byte
	Modified time.Time // when it was put, by the store's clock, to the second
}

// PutCheckpoint stores state under the key (see CheckpointKey), in place of an older one: any checkpoint of a job is a good
// one, so the last writer wins. Encryption and tags are those of images. The error is an *Error, except for a state of more
// than MaxCheckpoint bytes.
func (s *Store) PutCheckpoint(ctx context.Context, key string, state []byte) error {
	if len(state) > MaxCheckpoint {
		return fmt.Errorf("putting %s: a checkpoint of %d bytes: at most %d are read back", s.target(key), len(state), MaxCheckpoint)
	}
	sum := sha256.Sum256(state)
	hash := hex.EncodeToString(sum[:])
	_, err := s.putOnce(ctx, putRequest{
		key: key, body: state, sha256: hash, contentType: "application/octet-stream", metadata: map[string]string{checkpointHash: hash},
	})
	return err
}

// checkpointHash is the key of the state's hash in the object's metadata.
const checkpointHash = "sha256"

// GetCheckpoint reads a checkpoint. The error wraps ErrNotFound, ErrUnknown or ErrDamaged, or is an *Error. After
// ErrDamaged the job begins again: it will not get better.
func (s *Store) GetCheckpoint(ctx context.Context, key string) (Checkpoint, error) {
	ctx, span := s.startSpan(ctx, "GetObject", key)
	found, err := s.fetch(ctx, key, MaxCheckpoint, span.call)
	failed, _ := errors.AsType[*Error](err) // the other errors are answers
	span.End(failed)
	if err != nil {
		return Checkpoint{}, err
	}
	sum := sha256.Sum256(found.body)
	if found.metadata[checkpointHash] != hex.EncodeToString(sum[:]) {
		return Checkpoint{}, fmt.Errorf("getting %s: %d bytes whose SHA-256 is not the one noted with them: %w", s.target(key), len(found.body), ErrDamaged)
	}
	return Checkpoint{State: found.body, Modified: found.modified}, nil
}

// DeleteCheckpoint removes a checkpoint. One that is not there is removed already.
func (s *Store) DeleteCheckpoint(ctx context.Context, key string) error {
	ctx, span := s.startSpan(ctx, "DeleteObject", key)
	failed := s.remove(ctx, key, span.call)
	span.End(failed)
	if failed != nil {
		return failed
	}
	return nil
}
