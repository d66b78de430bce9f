// Package batch turns rows of prompts and parameters into jobs and puts them into the queue, however many there
// are, in constant memory and so that a crash half-way loses and repeats nothing.
//
//	Text, CSV, JSONL, YAML, Args ──▶ Row ──▶ Plan (× axes) ──▶ Job ──▶ Submit (chunks of 1000) ──▶ queue
//	                                                                   Follow ◀── results
//
// Chunk k of a batch is always the jobs 1000k to 1000k+999, published as one atomic batch: it is in the queue as
// a whole or not at all. The batch's record says how many jobs are in and holds a rolling hash of them, and
// moves by compare-and-swap. So an interrupted Submit goes on where it stopped, a second one stops the first,
// and one whose rows are others is refused.
package batch
