//go:build !unix

package modelstore

import (
	"context"
	"os"
)

// lock does nothing where files cannot be locked: two processes that want one model must not start at once there.
func (s *Store) lock(_ context.Context, shelf shelf) (unlock func(), err error) {
	if err := os.MkdirAll(shelf.dir, 0o755); err != nil {
		return nil, explain(err, shelf.dir)
	}
	return func() {}, nil
}

// writable is told by no system that has no folders of Unix.
func writable(string) error { return nil }

// free is not known.
func free(string) int64 { return -1 }
