package upload

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// readEXIF reads the user comment of a TIFF structure. What is damaged or unusual about it is as if it were not there:
// it tells nothing that XMP does not.
func (m *FileMeta) readEXIF(data []byte) {
	if comment, order, ok := userCommentOf(data); ok {
		m.Parameters = commentText(comment, order)
	}
}

// userCommentOf finds the user comment, with its character code, by the offsets of a TIFF structure.
func userCommentOf(data []byte) (comment []byte, order binary.ByteOrder, ok bool) {
	if len(data) < 8 {
		return nil, nil, false
	}
	switch string(data[:4]) {
	case "MM\x00*":
		order = binary.BigEndian
	case "II*\x00":
		order = binary.LittleEndian
	default:
		return nil, nil, false
	}
	t := tiff{data, order}
	sub, _, ok := t.find(order.Uint32(data[4:]), tagExifIFD)
	if !ok {
		return nil, nil, false
	}
	at, n, ok := t.find(sub, tagUserComment)
	if !ok || uint64(at)+uint64(n) > uint64(len(data)) {
		return nil, nil, false
	}
	return data[at : at+n], order, true
}

// tiff is a TIFF structure.
type tiff struct {
	data  []byte
	order binary.ByteOrder
}

// find returns value and count of a tag in the IFD at an offset.
func (t tiff) find(ifd uint32, tag uint16) (value, count uint32, ok bool) {
	at := uint64(ifd)
	if at+2 > uint64(len(t.data)) {
		return 0, 0, false
	}
	entries := t.data[at+2:]
	for range t.order.Uint16(t.data[at:]) {
		if len(entries) < 12 {
			return 0, 0, false
		}
		if t.order.Uint16(entries) == tag {
			return t.order.Uint32(entries[8:]), t.order.Uint32(entries[4:]), true
		}
		entries = entries[12:]
	}
	return 0, 0, false
}

// commentText is a user comment behind the eight bytes that name its character code, "" of a code that is neither ASCII
// nor Unicode.
func commentText(comment []byte, order binary.ByteOrder) string {
	if len(comment) < 8 {
		return ""
	}
	code, text := string(comment[:8]), comment[8:]
	switch code {
	case "ASCII\x00\x00\x00":
		return strings.TrimRight(string(text), "\x00")
	case "UNICODE\x00":
		units := make([]uint16, len(text)/2)
		for i := range units {
			units[i] = order.Uint16(text[2*i:])
		}
		return strings.TrimRight(string(utf16.Decode(units)), "\x00")
	}
	return ""
}
