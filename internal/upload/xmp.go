package upload

import (
	"bytes"
	"encoding/xml"
	"strings"
)

// trainedAlgorithmicMedia is IPTC's word for "made by a model trained on sampled content".
const trainedAlgorithmicMedia = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

// How much of Meta an XMP packet holds, for containers with little room.
type xmpDetail int

const (
	xmpWhole  xmpDetail = iota // parameters, job and origin
	xmpNoText                  // no parameters
	xmpOrigin                  // digest, trace and how the picture came to be, no text of the job
)

// xmp is a read-only XMP packet (ISO 16684-1): how the picture came to be in IPTC's terms, the parameters as its
// description, and the job and its origin in a namespace of our own.
func xmp(p Picture, m Meta, detail xmpDetail) string {
	var b strings.Builder
	b.WriteString("<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" ` +
		`xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:stipple="https://github.com/stipple-ai/stipple/ns/1.0/">` +
		"\n<xmp:CreatorTool>stipple</xmp:CreatorTool>\n" +
		"<Iptc4xmpExt:DigitalSourceType>" + trainedAlgorithmicMedia + "</Iptc4xmpExt:DigitalSourceType>\n")
	if detail < xmpNoText {
		b.WriteString(`<dc:description><rdf:Alt><rdf:li xml:lang="x-default">` + xmlText(parameters(p, m)) + "</rdf:li></rdf:Alt></dc:description>\n")
	}
	if detail < xmpOrigin && len(m.Job) > 0 {
		b.WriteString("<stipple:Job>" + xmlText(string(m.Job)) + "</stipple:Job>\n")
	}
	if m.ModelDigest != "" {
		b.WriteString("<stipple:ModelDigest>" + xmlText(m.ModelDigest) + "</stipple:ModelDigest>\n")
	}
	if m.TraceID != "" {
		b.WriteString("<stipple:TraceId>" + xmlText(m.TraceID) + "</stipple:TraceId>\n")
	}
	b.WriteString("</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>")
	return b.String()
}

// xmlText escapes text; what XML cannot hold, such as control characters, becomes U+FFFD. NUL is dropped, as
// everywhere in a file.
func xmlText(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(withoutNUL(text))); err != nil {
		panic("upload: a bytes.Buffer refused a write: " + err.Error()) // bytes.Buffer never does
	}
	return b.String()
}
