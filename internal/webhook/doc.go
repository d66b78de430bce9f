// Package webhook tells HTTP receivers of results, at least once, in the manner of Standard Webhooks
// (https://www.standardwebhooks.com): each event has an id, a timestamp and a signature, and is sent again until the
// receiver takes it.
//
// A receiver's address comes from whoever enqueues, and the requests leave from inside a network. So hosts are taken
// from an allow-list, and addresses are judged where they are dialled ([Policy]); redirects are not followed, and what
// receivers answer is thrown away.
//
// What is not yet delivered is kept by the queue: an event that fails is given back with a delay ([Dispatcher]), and so a
// process that is killed loses none.
package webhook
