package otel

import "strings"

// replacement stands for bytes that are no UTF-8.
const replacement = "\uFFFD"

func cleanText(s string) string { return strings.ToValidUTF8(s, replacement) }
