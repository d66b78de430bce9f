// Package ports draws ports of the loopback interface for servers whose port is known before they listen, or stays theirs while they are away.
//
// A port that the system chooses serves neither: the next listener or connection of anybody may get it as soon as nobody listens on it. These lie below those
// that systems choose from (32768 and up on Linux, 49152 elsewhere), in a block for each process, and are drawn in turn.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	first  = 10000
	block  = 256 // ports of a process
	blocks = (32768 - first) / block
)

// drawn counts what was drawn: ports belong to the process as a whole.
var drawn atomic.Uint32

// offset is where the process begins in its block: two may have the same one.
var offset = sync.OnceValue(func() uint32 { return rand.Uint32N(block) })

// Free draws a port of 127.0.0.1 that nobody listens on.
func Free() (int, error) {
	begin := first + os.Getpid()%blocks*block
	for range block {
		port := begin + int((offset()+drawn.Add(1))%block)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		switch {
		case err == nil:
			if err := l.Close(); err != nil {
				return 0, fmt.Errorf("drawing a free port: %w", err)
			}
			return port, nil
		case !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES):
			return 0, fmt.Errorf("drawing a free port: %w", err)
		}
	}
	return 0, fmt.Errorf("drawing a free port: all from %d to %d are taken", begin, begin+block-1)
}
