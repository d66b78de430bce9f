package main

import (
	"fmt"
	"slices"
	"strings"
)

// kind is a kind of fault.
type kind string

// The kinds of faults. Those that begin with kill are a kill -9 of a worker at one edge of a job's way.
const (
	killFetched  kind = "kill-fetched"  // it has just got a job
	killStep     kind = "kill-step"     // it is drawing
	killPut      kind = "kill-put"      // its PUT is on the way, and does not arrive
	killStored   kind = "kill-stored"   // the image is stored, and the worker does not know
	killRecorded kind = "kill-recorded" // the result is recorded, and the worker does not know
	killAck      kind = "kill-ack"      // its acknowledgement is on the way, and does not arrive
	killAcked    kind = "kill-acked"    // the message is acknowledged, and the worker does not know
	killDrain    kind = "kill-drain"    // it was told to leave, and has not yet
	killSaving   kind = "kill-saving"   // a checkpoint is on the way and does not arrive, or is stored and the worker does not know

	freeze   kind = "freeze"    // SIGSTOP at an edge, for longer than the lease, then SIGCONT; what it was sending arrives late
	sigterm  kind = "sigterm"   // it is told to leave; another one takes its place
	netStall kind = "net-stall" // nothing passes between a worker and the broker; it all arrives later
	netCut   kind = "net-cut"   // a worker's connections to the broker are reset

	brokerKill kind = "broker-kill" // kill -9 of the broker at an edge or at any time, in a cluster of the leader of a stream, and a restart

	storeKill  kind = "store-kill"  // kill -9 of the store at an edge or at any time, and a restart
	storeBusy  kind = "store-503"   // every request is answered 503 SlowDown
	storeHole  kind = "store-hole"  // connections are taken and nothing is answered
	storeReset kind = "store-reset" // a connection is reset in the middle of a PUT, or before its answer

	collectorAway kind = "collector" // the telemetry sink hangs, refuses or drops
)

// allKinds are all kinds, in the order of their mention.
func allKinds() []kind {
	return []kind{
		killFetched, killStep, killPut, killStored, killRecorded, killAck, killAcked, killDrain, killSaving, freeze, sigterm, netStall, netCut,
		brokerKill, storeKill, storeBusy, storeHole, storeReset, collectorAway,
	}
}

// parseKinds reads a list of kinds between commas; "" is all of them.
func parseKinds(list string) ([]kind, error) {
	if list == "" {
		return allKinds(), nil
	}
	var kinds []kind
	for name := range strings.SplitSeq(list, ",") {
		k := kind(strings.TrimSpace(name))
		if !slices.Contains(allKinds(), k) {
			return nil, fmt.Errorf("--kinds: %q is none; known are %s", name, joined(allKinds()))
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

func joined(kinds []kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// edge is a point on a job's way through a worker that can be seen from outside.
type edge string

// The edges, in a job's order.
const (
	edgeFetched  edge = "fetched"  // the broker has sent the message, and the worker does not have it yet
	edgeStep     edge = "step"     // it announces its progress
	edgePut      edge = "put"      // the image's PUT has left the worker and has not reached the store
	edgeStored   edge = "stored"   // the store has answered, and the answer has not reached the worker
	edgeSaving   edge = "saving"   // a checkpoint's PUT has left the worker and has not reached the store
	edgeSaved    edge = "saved"    // the store has answered it, and the answer has not reached the worker
	edgeRecorded edge = "recorded" // the same of the result
	edgeAck      edge = "ack"      // the acknowledgement has left the worker and has not reached the broker
	edgeAcked    edge = "acked"    // the broker has answered it, and the answer has not reached the worker
)

// frozenAt are the edges at which workers are frozen: where what they do or send next comes too late.
func frozenAt() []edge {
	return []edge{edgeFetched, edgeStep, edgeSaving, edgePut, edgeRecorded, edgeAck}
}

// brokerDiesAt are the edges at which brokers are killed, "" for any time: where it has stored something, or has not, and
// the worker does not learn of it.
func brokerDiesAt() []edge { return []edge{edgeFetched, edgeRecorded, edgeAck, edgeAcked, ""} }

// storeDiesAt are those of the store.
func storeDiesAt() []edge { return []edge{edgePut, edgeStored, ""} }
