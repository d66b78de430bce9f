package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Replace stores an object in place of what is under its key. It is for what is made from pictures, such as a contact
// sheet: a picture itself is stored once, with Put. The error is an *Error.
func (s *Store) Replace(ctx context.Context, key, contentType string, body []byte) error {
	sum := sha256.Sum256(body)
	_, err := s.putOnce(ctx, putRequest{key: key, body: body, sha256: hex.EncodeToString(sum[:]), contentType: contentType})
	return err
}
