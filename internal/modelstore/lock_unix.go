//go:build unix

package modelstore

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock takes the shelf for this process; another one that downloads it is waited for. The system lets it go with the process, however that ends.
func (s *Store) lock(ctx context.Context, shelf shelf) (unlock func(), err error) {
	if err := os.MkdirAll(shelf.dir, 0o755); err != nil {
		return nil, explain(err, shelf.dir)
	}
	f, err := os.OpenFile(filepath.Join(shelf.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, explain(err, shelf.dir)
	}
	for said := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // nothing was written
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		if !said {
			s.config.Logger.Info("another process downloads this model: waiting for it", slog.String("folder", shelf.dir))
			said = true
		}
		select {
		case <-time.After(min(200*time.Millisecond, s.config.pause)):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}

// writable is why nothing can be made in dir, or in the nearest folder above it that is there.
func writable(dir string) error {
	const write = 2 // W_OK
	for {
		err := syscall.Access(dir, write)
		above := filepath.Dir(dir)
		if !errors.Is(err, syscall.ENOENT) || above == dir {
			return err
		}
		dir = above
	}
}

// free is the bytes that the file system of dir, or of the nearest folder above it that is there, has room for; -1 where it does not say.
func free(dir string) int64 {
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err == nil {
			return int64(min(uint64(st.Bavail), 1<<40) * uint64(st.Bsize)) //nolint:unconvert // types differ between systems
		}
		above := filepath.Dir(dir)
		if above == dir {
			return -1
		}
		dir = above
	}
}
