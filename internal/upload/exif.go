package upload

import (
	"encoding/binary"
	"unicode/utf16"
)

// Tags and types of TIFF 6.0 and Exif 2.32 that exif uses.
const (
	tagExifIFD     = 0x8769
	tagExifVersion = 0x9000
	tagUserComment = 0x9286

	typeLong      = 4
	typeUndefined = 7
)

// exif is a TIFF structure with the text as its user comment, where the tools of Stable Diffusion look for their
// parameters in a JPEG or WebP.
func exif(text string) (data []byte) {
	comment := userComment(text)
	// One IFD with a pointer to the Exif IFD, the Exif IFD with two entries, and the comment. Offsets count from
	// the byte order mark.
	const (
		ifd0    = 8
		exifIFD = ifd0 + 2 + 12 + 4
		values  = exifIFD + 2 + 2*12 + 4
	)
	be := binary.BigEndian
	data = append(data, "MM\x00*"...) // big-endian
	data = be.AppendUint32(data, ifd0)

	data = be.AppendUint16(data, 1)
	data = ifdEntry(data, tagExifIFD, typeLong, 1, exifIFD)
	data = be.AppendUint32(data, 0) // no IFD follows

	data = be.AppendUint16(data, 2)
	data = ifdEntry(data, tagExifVersion, typeUndefined, 4, be.Uint32([]byte("0232")))
	data = ifdEntry(data, tagUserComment, typeUndefined, uint32(len(comment)), values)
	data = be.AppendUint32(data, 0)

	return append(data, comment...)
}

// ifdEntry appends an entry: count values of a type, and where they are, or they themselves if four bytes hold them.
func ifdEntry(data []byte, tag, typ uint16, count, value uint32) []byte {
	be := binary.BigEndian
	data = be.AppendUint16(data, tag)
	data = be.AppendUint16(data, typ)
	data = be.AppendUint32(data, count)
	return be.AppendUint32(data, value)
}

// userComment is the text behind the eight bytes that name its character code: ASCII where that is enough, else
// UTF-16 in the byte order of the file. NUL is dropped.
func userComment(text string) []byte {
	text = withoutNUL(text)
	for i := range len(text) {
		if text[i] >= 0x80 {
			comment := []byte("UNICODE\x00")
			for _, unit := range utf16.Encode([]rune(text)) {
				comment = binary.BigEndian.AppendUint16(comment, unit)
			}
			return comment
		}
	}
	return append([]byte("ASCII\x00\x00\x00"), text...)
}
