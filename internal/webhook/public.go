package webhook

import (
	"net/netip"
	"slices"
)

// special are the networks that the IANA registries of special-purpose addresses (RFC 6890 and its updates) do not call
// globally reachable, those that carry another address inside them, and multicast. What lies outside of them is public.
var special = networks(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
	"2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func networks(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// public reports whether an address, which is not IPv4 in IPv6, is one of the Internet's.
func public(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !slices.ContainsFunc(special, func(n netip.Prefix) bool { return n.Contains(addr.WithZone("")) })
}
