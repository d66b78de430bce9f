package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Policy says to whom webhooks may go. The zero Policy allows nobody.
type Policy struct {
	hosts     []allowedHost
	networks  []netip.Prefix
	plainHTTP bool
}

// allowedHost is a name of the allow-list.
type allowedHost struct {
	name string // lower case, without a dot at its end
	any  bool   // stands for every name that ends in "." and this one
	port string // "" for the scheme's own
}

// ParsePolicy reads an allow-list, comma-separated: names such as hooks.example.com, hooks.example.com:8443 and
// *.example.com, and addresses or networks such as 10.1.2.3, fd00::/8. A name allows that host at the port of its scheme, or at
// the one named. It does not allow what is not public: a name must not lead to an address inside unless that stands in
// the list, too. An address or network allows itself, at any port, and URLs that have it in the place of a name.
//
// PlainHTTP allows http beside https.
func ParsePolicy(list string, plainHTTP bool) (Policy, error) {
	p := Policy{plainHTTP: plainHTTP}
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if network, ok := parseNetwork(entry); ok {
			p.networks = append(p.networks, network)
			continue
		}
		h := allowedHost{name: entry}
		if name, port, err := net.SplitHostPort(entry); err == nil {
			h.name, h.port = name, port
		}
		h.name, h.any = strings.CutPrefix(canonical(h.name), "*.")
		if !validName(h.name) || h.port != "" && !validPort(h.port) {
			return Policy{}, fmt.Errorf("%q is no host, such as hooks.example.com, *.example.com, hooks.example.com:8443 or 10.0.0.0/8", entry)
		}
		p.hosts = append(p.hosts, h)
	}
	return p, nil
}

// Empty reports whether nobody is allowed.
func (p Policy) Empty() bool { return len(p.hosts) == 0 && len(p.networks) == 0 }

// Errors of URLs and addresses.
var (
	ErrURL     = errors.New("no URL for a webhook")
	ErrRefused = errors.New("not allowed for webhooks")
)

// MaxURL bounds the URL of a webhook, in bytes.
const MaxURL = 2048

// ParseURL reads the URL of a webhook: http or https, with a host, and without user and fragment. Errors wrap ErrURL and
// do not show what may be a secret.
func ParseURL(text string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) { return nil, fmt.Errorf("%w: %s", ErrURL, why) }
	if len(text) > MaxURL {
		return bad(fmt.Sprintf("it is longer than %d bytes", MaxURL))
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7F {
			return bad("it has spaces, control characters or others that a URL encodes")
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return bad("it cannot be read")
	}
	_, zone, _ := strings.Cut(u.Hostname(), "%")
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it must begin with https:// (or http://)")
	case u.Hostname() == "" || u.Opaque != "":
		return bad("it has no host")
	case u.User != nil:
		return bad("it has a user or password; events are authenticated by their signature")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return bad("it has a fragment, which is never sent")
	case zone != "":
		return bad("its address has a zone")
	case u.Port() != "" && !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return bad("its port is not from 1 to 65535")
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && !validName(canonical(u.Hostname())) {
		return bad("its host is no name; write names of other scripts as xn--…")
	}
	return u, nil
}

// Check reads a URL and judges it by the allow-list. Errors wrap ErrURL or ErrRefused. What its name leads to is judged when
// it is dialled.
func (p Policy) Check(text string) (*url.URL, error) {
	u, err := ParseURL(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" && !p.plainHTTP {
		return nil, fmt.Errorf("http is %w: the URL must begin with https://", ErrRefused)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if !p.lists(addr) {
			return nil, fmt.Errorf("the address %s is %w: it is not in the list of hosts", addr, ErrRefused)
		}
		return u, nil
	}
	name, port := canonical(u.Hostname()), u.Port()
	if port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		port = ""
	}
	if !slices.ContainsFunc(p.hosts, func(h allowedHost) bool { return h.port == port && h.matches(name) }) {
		return nil, fmt.Errorf("%s is %w: it is not in the list of hosts", u.Host, ErrRefused)
	}
	return u, nil
}

func (h allowedHost) matches(name string) bool {
	return !h.any && name == h.name || h.any && strings.HasSuffix(name, "."+h.name)
}

// checkAddress judges an address that is about to be dialled: a public one, or one that the list names.
func (p Policy) checkAddress(addr netip.Addr) error {
	if addr = addr.Unmap(); p.lists(addr) || public(addr) {
		return nil
	}
	return fmt.Errorf("%s, an address that is not public, is %w: list it if that is meant", addr, ErrRefused)
}

// lists reports whether the list has an address.
func (p Policy) lists(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// parseNetwork reads an address, or a network as address/bits.
func parseNetwork(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	return network.Masked(), err == nil && !network.Addr().Is4In6()
}

// canonical is a host's name as it is compared.
func canonical(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// validName reports whether a name is one that DNS has: letters, digits, dashes and underscores between dots.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

func validPort(port string) bool {
	return len(port) <= 5 && strings.Trim(port, "0123456789") == "" && port[0] != '0' && (len(port) < 5 || port <= "65535")
}
