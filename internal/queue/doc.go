// Package queue is the project's only contact with NATS JetStream: the wire form of jobs and results, and
// everything that happens to a job's message between the command that publishes it and its last
// acknowledgement.
//
//	enqueue ── PublishChunk, RetryJobs, Requeue ──▶ JOBS ──▶ Source.Fetch ──▶ Delivery, heartbeats ──▶ Ack, Nak or Term
//	                                                                             │
//	        FollowResults, ReadResults ◀── RESULTS  ◀── Record, Lookup ──────────┤
//	              DeadLetters, Requeue ◀── DEAD     ◀── DeadLetter ──────────────┤
//	                                       attempts ◀── Begin, Failed, HandedBack┤
//	       CancelBatch, CancelJob ──▶ batches ──▶ WatchCancelled ────────────────┤
//	        WatchProgress, WatchStatus ◀── core     ◀── Reporter, AnnounceStatus ┘
//
// JetStream does not fence: an acknowledgement of a worker whose lease ran out is obeyed like any other, and
// after a crash the broker may deliver again what was acknowledged. So nothing here relies on a message
// being delivered once. Exactly-once lives in the outputs, which are written by compare-and-swap under names
// that the job alone decides: one record a job in RESULTS, one object a key in the store. The
// acknowledgement comes last and may be repeated by anyone.
//
// A broker that is away is waited for: methods that take a context try again until it ends.
package queue
