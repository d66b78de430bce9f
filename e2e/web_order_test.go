package e2e_test

import "testing"

// TestPageDrawsAnOrderOnce loses the answer to an order, and sends the same once more as somebody does who reads that the
// server has not answered: it is one batch. Another order is another.
func TestPageDrawsAnOrderOnce(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	_, home := w.serve("page", "127.0.0.1:0", "--write")
	b := newBrowser(t, home)
	b.shows("#workers", "painter", "sd15")
	do[bool](b, `(() => {
		const ask = fetch;
		let lost = false;
		window.fetch = async (to, how) => {
			const answer = await ask(to, how);
			if (how?.method !== 'POST' || lost) return answer;
			lost = true;
			throw new TypeError('the answer is lost');
		};
		return true;
	})()`)
	order := func(seeds string) {
		b.fill("[name=prompt]", "a hen")
		b.fill("[name=seeds]", seeds)
		b.fill("[name=steps]", "1")
		b.click(".order footer .primary")
	}
	b.click("#new")
	order("1..2")
	b.shows(".order", "does not answer")
	b.click(".order footer .primary")
	b.shows("#toasts", "Sent 2 jobs as batch")
	b.until(`!document.querySelector('dialog')`)
	b.click("#toasts button") // it lies over the next form
	b.click("#new")
	order("1..3")
	b.shows("#toasts", "Sent 3 jobs as batch")
	b.until(`document.querySelectorAll('.tile.here').length === 3`)
	if n := w.state("JOBS").LastSeq; n != 5 {
		t.Errorf("%d jobs were sent, want 2 of the one order and 3 of the other", n)
	}
}
