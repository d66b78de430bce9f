package e2e_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// pngText reads the text chunks of a PNG file, by keyword, in UTF-8.
func pngText(t *testing.T, file []byte) map[string]string {
	t.Helper()
	rest, ok := bytes.CutPrefix(file, []byte("\x89PNG\r\n\x1a\n"))
	if !ok {
		t.Fatal("no PNG file")
	}
	texts := map[string]string{}
	for len(rest) >= 12 {
		n := binary.BigEndian.Uint32(rest)
		if uint64(n)+12 > uint64(len(rest)) {
			t.Fatalf("a chunk of %d bytes in %d", n, len(rest))
		}
		typ, data := string(rest[4:8]), rest[8:8+n]
		if sum := binary.BigEndian.Uint32(rest[8+n:]); sum != crc32.ChecksumIEEE(rest[4:8+n]) {
			t.Errorf("the checksum of a chunk %s is wrong", typ)
		}
		keyword, data, _ := bytes.Cut(data, []byte{0})
		switch typ {
		case "tEXt":
			latin1 := make([]rune, len(data))
			for i, c := range data {
				latin1[i] = rune(c)
			}
			texts[string(keyword)] = string(latin1)
		case "iTXt": // not compressed, no language, no translated keyword
			text, ok := bytes.CutPrefix(data, []byte{0, 0, 0, 0})
			if !ok {
				t.Errorf("the text %s is compressed or translated", keyword)
			}
			texts[string(keyword)] = string(text)
		}
		rest = rest[12+n:]
	}
	if len(rest) > 0 {
		t.Errorf("%d bytes behind the last chunk", len(rest))
	}
	return texts
}
