package webhook

import "sync/atomic"

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
