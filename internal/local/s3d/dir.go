package s3d

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
)

// prepareDir makes the directory and finds out where metadata can be kept.
func (s *Server) prepareDir() error {
	dir := s.options.Dir
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "stipple-s3-"); err != nil {
			return fmt.Errorf("making a directory for the S3 server: %w", err)
		}
		s.ownDir = true
	} else if err = os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the S3 server's directory: %w", err)
	}
	if s.dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("resolving the S3 server's directory %s: %w", dir, err)
	}
	if s.dir, err = filepath.EvalSymlinks(s.dir); err != nil { // so that release can compare it with the working directory
		return fmt.Errorf("resolving the S3 server's directory: %w", err)
	}
	xattrErr := s.tryXattr()
	if xattrErr == nil && !s.options.Sidecar {
		return nil
	}
	// Not <dir>.meta: versitygw takes every path that begins with the directory's name to be inside it.
	s.sidecar = filepath.Join(filepath.Dir(s.dir), "."+filepath.Base(s.dir)+".meta")
	if err := os.MkdirAll(s.sidecar, 0o755); err != nil {
		return fmt.Errorf("keeping metadata of %s: no extended attributes (%w), and no directory beside it: %w; "+
			"choose a directory on a file system with extended attributes", s.dir, xattrErr, err)
	}
	return nil
}

// tryXattr writes and removes an extended attribute on the directory.
func (s *Server) tryXattr() error {
	var x meta.XattrMeta
	if err := x.StoreAttribute(nil, s.dir, "", "probe", []byte("1")); err != nil {
		return err
	}
	return x.DeleteAttribute(s.dir, "", "probe")
}
