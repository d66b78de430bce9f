package ort

import "math"

// float16 rounds f to IEEE 754 binary16, half to even; what is too large becomes infinite.
func float16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN stays NaN
		return sign | 0x7e00
	case b >= 0x477ff000: // rounds to 65536 or more
		return sign | 0x7c00
	case b < 0x38800000: // subnormal: let the float adder round at the right bit
		magic := float32(0.5)
		sum := math.Float32frombits(b) + magic
		return sign | uint16(math.Float32bits(sum)-math.Float32bits(magic))
	default:
		odd := b >> 13 & 1
		return sign | uint16((b-0x38000000+0xfff+odd)>>13)
	}
}

// float32From16 is exact.
func float32From16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0:
		f := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	default:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
}
