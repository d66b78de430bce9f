package e2e_test

import (
	"net/url"
	"testing"
)

// TestPageTellsWhatIsWrong takes a worker, the store, the broker and the page's own server away, one after the other:
// each is named while it is away, with what to do, and no more when it is back; what happened meanwhile is caught up.
func TestPageTellsWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	painter := w.worker("painter")
	page, home := w.serve("page", "127.0.0.1:0", "--write")
	b := newBrowser(t, home)
	b.forgive("Failed to load resource") // from servers that are away
	b.shows("#workers", "painter")
	b.shows("#connection", "live")

	painter.kill()
	b.shows("#workers [data-is=gone]", "painter", "gone", "last heard")
	b.shot("worker-gone")
	w.worker("deputy")
	b.shows("#workers", "deputy")

	w.store.kill()
	b.shows("#problem-list", "store")
	b.until(`/store/i.test(document.getElementById('assertive').textContent)`) // for those who hear the page
	b.shows("#connection", "problem")
	b.shot("store-gone")
	w.store.start()
	b.until(`!/store/i.test(document.getElementById('problem-list').innerText)`)

	w.broker.kill()
	b.shows("#problem-list", "broker")
	b.shot("broker-gone")
	w.broker.start()
	b.until(`!/broker/i.test(document.getElementById('problem-list').innerText)`)

	b.open("#/batches/meanwhile")
	b.shows("main", "No such batch")
	page.kill()
	b.shows("#connection", "connection lost")
	b.shows("#problem-list", "connection", "tried again every second")
	w.enqueue("a hen", "--seeds", "1..3", "--steps", "2", "--batch", "meanwhile")
	w.done("meanwhile", 3, startTime)
	at, err := url.Parse(home)
	if err != nil {
		t.Fatal(err)
	}
	w.serve("page", at.Host, "--write")
	b.until(`document.getElementById('connection').dataset.is !== 'lost'`)
	b.until(`document.querySelectorAll('.tile.here').length === 3`)
}
