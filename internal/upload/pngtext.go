package upload

import "strings"

// pngText is one text chunk. The keyword is 1 to 79 bytes of printable ASCII; the ones here are constants.
type pngText struct {
	keyword string
	text    string
	always8 bool // written as iTXt even if Latin-1 would do: what a reader of the keyword expects
}

// pngTexts lists the text chunks of a file: `parameters` for the tools of Stable Diffusion, the job and its
// origin, and the XMP packet under the keyword its specification gives; as many of them as m.Detail asks for.
func pngTexts(p Picture, m Meta) []pngText {
	var texts []pngText
	if m.Detail == Full {
		texts = append(texts, pngText{keyword: "parameters", text: parameters(p, m)}, pngText{keyword: "job", text: string(m.Job)})
	}
	if m.Detail != None {
		texts = append(texts,
			pngText{keyword: "model_digest", text: m.ModelDigest},
			pngText{keyword: "trace_id", text: m.TraceID},
			pngText{keyword: "XML:com.adobe.xmp", text: xmp(p, m, m.Detail.xmp()), always8: true})
	}
	kept := texts[:0]
	for _, t := range texts {
		if t.text != "" {
			kept = append(kept, t)
		}
	}
	return kept
}

// chunk is the chunk's type and data: tEXt (Latin-1) where every character has a place in it, else iTXt (UTF-8,
// not compressed, no language). NUL would end the text and is dropped; bytes that are not UTF-8 become U+FFFD.
func (t pngText) chunk() (typ string, data []byte) {
	text := strings.ToValidUTF8(withoutNUL(t.text), "\uFFFD")
	if !t.always8 && isLatin1(text) {
		data = append([]byte(t.keyword), 0)
		for _, r := range text {
			data = append(data, byte(r))
		}
		return "tEXt", data
	}
	data = append([]byte(t.keyword), 0, 0, 0, 0, 0) // NUL, not compressed, method 0, no language, no translated keyword
	return "iTXt", append(data, text...)
}

// isLatin1 reports whether tEXt can hold the text: Latin-1 without the control characters 0x7F to 0x9F, which
// the PNG specification advises against.
func isLatin1(text string) bool {
	for _, r := range text {
		if r > 0xFF || r >= 0x7F && r <= 0x9F {
			return false
		}
	}
	return true
}

// withoutNUL drops the one character that ends a text early in every container.
func withoutNUL(text string) string { return strings.ReplaceAll(text, "\x00", "") }
