package s3d

import (
	"net"
	"strconv"

	"github.com/stipple-ai/stipple/internal/local/ports"
)

// freeAddr replaces port 0 of addr by a port that is free now.
func freeAddr(addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	port, err := ports.Free()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// portOf is the port of host:port, or "".
func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "" // versitygw says what is wrong with it
	}
	return port
}
