package s3d

import "net"

// freeAddr replaces port 0 of addr by a port that is free now.
func freeAddr(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// portOf is the port of host:port, or "".
func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "" // versitygw says what is wrong with it
	}
	return port
}
