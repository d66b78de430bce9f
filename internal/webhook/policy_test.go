package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestPolicyChecksURLs(t *testing.T) {
	p, err := ParsePolicy("hooks.example.com, *.Example.org.,ci.example.net:8443,10.1.2.3,fd00::/8", false)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{
		"https://hooks.example.com/a?b=c":                          nil,
		"https://HOOKS.example.com.:443/":                          nil,
		"https://a.b.example.org":                                  nil,
		"https://ci.example.net:8443/x":                            nil,
		"https://10.1.2.3:9/x":                                     nil,
		"https://[fd00::1]/x":                                      nil,
		"https://[::ffff:10.1.2.3]/":                               nil,
		"http://hooks.example.com/":                                ErrRefused,
		"https://hooks.example.com:8443/":                          ErrRefused,
		"https://ci.example.net/":                                  ErrRefused,
		"https://example.org/":                                     ErrRefused,
		"https://badexample.org/":                                  ErrRefused,
		"https://hooks.example.com.evil.org/":                      ErrRefused,
		"https://127.0.0.1/":                                       ErrRefused,
		"https://8.8.8.8/":                                         ErrRefused,
		"https://[::1]/":                                           ErrRefused,
		"https://localhost/":                                       ErrRefused,
		"https://2130706433/":                                      ErrRefused,
		"https://0x7f.1/":                                          ErrRefused,
		"":                                                         ErrURL,
		"hooks.example.com":                                        ErrURL,
		"ftp://hooks.example.com/":                                 ErrURL,
		"javascript:alert(1)":                                      ErrURL,
		"https:hooks.example.com":                                  ErrURL,
		"https:///path":                                            ErrURL,
		"https://u:p@hooks.example.com/":                           ErrURL,
		"https://hooks.example.com/#x":                             ErrURL,
		"https://hooks.example.com/#":                              ErrURL,
		"https://hooks.example.com:0/":                             ErrURL,
		"https://hooks.example.com:65536/":                         ErrURL,
		"https://hooks.example.com:/":                              ErrURL,
		"https://[fe80::1%25eth0]/":                                ErrURL,
		"https://höoks.example.com/":                               ErrURL,
		"https://hooks.example.com/\r\nX: y":                       ErrURL,
		"https://hooks.example.com/ x":                             ErrURL,
		"https://hooks..example.com/":                              ErrURL,
		"https://ex%61mple.org/":                                   ErrURL,
		"https://hooks.example.com/" + strings.Repeat("x", MaxURL): ErrURL,
	} {
		if _, err := p.Check(text); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("Check(%q): %v, want %v", text, err, want)
		} else if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("Check(%q) shows a password: %v", text, err)
		}
	}
	if _, err := (Policy{}).Check("https://hooks.example.com/"); !errors.Is(err, ErrRefused) {
		t.Errorf("the zero policy: %v", err)
	}
	plain, err := ParsePolicy("hooks.example.com", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Check("http://hooks.example.com:80/"); err != nil {
		t.Errorf("http where it is allowed: %v", err)
	}
	if _, err := plain.Check("http://hooks.example.com:443/"); !errors.Is(err, ErrRefused) {
		t.Errorf("http at the port of https: %v", err)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	for _, list := range []string{"https://hooks.example.com", "*", "*.", "a b", "hooks.example.com/x", "hooks.example.com:0", "10.0.0.0/33", "ex*mple.org", "::ffff:10.0.0.0/104"} {
		if p, err := ParsePolicy(list, false); err == nil {
			t.Errorf("ParsePolicy(%q) = %+v, want an error", list, p)
		}
	}
	if p, err := ParsePolicy(" , ", false); err != nil || !p.Empty() {
		t.Errorf("an empty list: %+v, %v", p, err)
	}
}

func TestPolicyChecksAddresses(t *testing.T) {
	p, err := ParsePolicy("hooks.example.com,10.1.0.0/16,::1", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"8.8.8.8", "93.184.216.34", "2606:4700::1111", "10.1.255.255", "::ffff:10.1.0.1", "::1", "172.32.0.1", "100.63.0.1", "11.0.0.0"} {
		if err := p.checkAddress(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "10.2.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
		"fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "::ffff:0:7f00:1",
	} {
		if err := p.checkAddress(netip.MustParseAddr(text)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want it refused", text, err)
		}
	}
}

// FuzzPolicy holds that what is allowed has an allowed host, as net/http would dial it.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"https://hooks.example.com/a", "https://hooks.example.com@evil.org/", "https://evil.org\\@hooks.example.com/", "https://[::1]/", "https://hooks.example.com:443?x#y", "https://HOOKS.example.com./"} {
		f.Add(seed)
	}
	p, err := ParsePolicy("hooks.example.com,10.1.2.3", false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := p.Check(text)
		if err != nil {
			if !errors.Is(err, ErrURL) && !errors.Is(err, ErrRefused) {
				t.Errorf("Check(%q): %v", text, err)
			}
			return
		}
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("%q is allowed and cannot be read: %v", u, err)
		}
		addr, addrErr := netip.ParseAddr(again.Hostname())
		named := strings.EqualFold(strings.TrimSuffix(again.Hostname(), "."), "hooks.example.com") && (again.Port() == "" || again.Port() == "443")
		if again.Scheme != "https" || again.User != nil || !named && (addrErr != nil || addr.Unmap() != netip.MustParseAddr("10.1.2.3")) {
			t.Errorf("%q is allowed as %q", text, again)
		}
	})
}
