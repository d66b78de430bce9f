package e2e_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// fill makes a batch of n jobs that have all succeeded, without drawing any: their records are written as a worker
// would, and the store holds nothing.
func (w *world) fill(batch string, n int) {
	w.t.Helper()
	w.says(0, "setup", "--models", "sd15")
	w.enqueue("a fox", "--model", "sd15", "--force", "--seeds", fmt.Sprintf("1..%d", n), "--batch", batch)
	js, err := jetstream.New(w.nc, jetstream.WithPublishAsyncMaxPending(2000))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		body := fmt.Appendf(nil, `{"version":1,"id":"%[1]s/%[2]d","batch_id":"%[1]s","index":%[2]d,"retry":0,"status":"succeeded","trace_id":"0af7651916cd43dd8448eb211c80319c",`+
			`"image":{"bucket":"images","key":"%[1]s/%08[2]d-0123456789abcdef.png","content_type":"image/png","width":64,"height":64},"seed":%[2]d,"model":"sd15"}`, batch, i)
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: w.subject("results", batch, fmt.Sprint(i)), Data: body}); err != nil {
			w.t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(2 * startTime):
		w.t.Fatalf("the %d records of %s were not stored", n, batch)
	}
}

// most is how many elements a wall may have on a screen of 1360 × 850, whatever it shows: 150 tiles in sight and around.
const most = 200

// TestPageShowsALargeBatch scrolls through more pictures than a document can hold: only those in sight are in it.
func TestPageShowsALargeBatch(t *testing.T) {
	n := 20_000
	if os.Getenv("STIPPLE_SOAK") == "1" {
		n = 1_000_000
	}
	w := newWorld(t)
	w.fill("large", n)
	_, home := w.serve("page", "127.0.0.1:0")
	b := newBrowser(t, home)
	b.forgive("Failed to load resource") // the pictures are not there
	b.open("#/batches/large")
	b.until(`document.querySelector('.tile a[href="#/batches/large/0"]')?.parentNode.dataset.is === 'lost'`)
	last := fmt.Sprintf("#/batches/large/%d", n-1)
	bounded := func() {
		t.Helper()
		if tiles := b.count(".tile"); tiles == 0 || tiles > most {
			t.Errorf("%d tiles in the document, want 1 to %d", tiles, most)
		}
	}
	bounded()
	do[bool](b, `(scrollTo(0, document.documentElement.scrollHeight / 2), true)`)
	b.until(`(tiles => tiles.length && tiles.every(e => e.dataset.is === 'lost' || e.dataset.is === 'picture') && Math.abs(tiles[0].getAttribute('aria-posinset') - %s) < %s)([...document.querySelectorAll('.tile')])`, n/2, n/50)
	bounded()
	do[bool](b, `(document.querySelector('.tile a').focus({preventScroll: true}), true)`)
	b.press(kb.End)
	b.until(`document.activeElement.hash === %s && document.activeElement.getBoundingClientRect().bottom <= innerHeight`, last)
	bounded()
	b.press(kb.Home)
	b.until(`document.activeElement.hash === '#/batches/large/0' && scrollY < innerHeight`)
	bounded()
}
