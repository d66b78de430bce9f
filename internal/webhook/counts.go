package webhook

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

// counters are what a Dispatcher counts.
type counters struct {
	delivered, failed, deferred, expired, gone, refused atomic.Int64
}

// Counts are what became of events since the process began.
type Counts struct {
	Delivered int64 // taken by their receivers
	Failed    int64 // attempts that were not, each of which is made again
	Deferred  int64 // put off, since their host had no room or is left alone
	Expired   int64 // given up for their age
	Gone      int64 // given up, for their receiver wants no more
	Refused   int64 // put off, for the policy refuses their URL
	Broken    int64 // hosts that are left alone now
}

// Counts returns them.
func (d *Dispatcher) Counts() Counts {
	c := &d.counts
	return Counts{
		Delivered: c.delivered.Load(), Failed: c.failed.Load(), Deferred: c.deferred.Load(), Expired: c.expired.Load(),
		Gone: c.gone.Load(), Refused: c.refused.Load(), Broken: int64(d.gates.broken()),
	}
}

// WriteMetrics writes them in the text format of Prometheus.
func (c Counts) WriteMetrics(w io.Writer) error {
	const name = "stipple_webhook_events_total"
	var text strings.Builder
	fmt.Fprintf(&text, "# HELP %s Webhook events, by what became of them; failed and deferred ones come again.\n# TYPE %s counter\n", name, name)
	for _, o := range []struct {
		outcome string
		n       int64
	}{{"delivered", c.Delivered}, {"failed", c.Failed}, {"deferred", c.Deferred}, {"expired", c.Expired}, {"gone", c.Gone}, {"refused", c.Refused}} {
		fmt.Fprintf(&text, "%s{outcome=%q} %d\n", name, o.outcome, o.n)
	}
	const broken = "stipple_webhook_broken_hosts"
	fmt.Fprintf(&text, "# HELP %s Receivers that take nothing and are left alone for a while.\n# TYPE %s gauge\n%s %d\n", broken, broken, broken, c.Broken)
	_, err := io.WriteString(w, text.String())
	return err
}
