package web_test

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stipple-ai/stipple/internal/web"
)

// whenPainted is told once every tile in sight shows its picture.
const whenPainted = `new Promise(done => {
	const look = () => {
		const tiles = [...document.querySelectorAll('.tile')].filter(t => t.getBoundingClientRect().top < innerHeight);
		if (!tiles.length || tiles.some(t => t.dataset.is !== 'picture')) return setTimeout(look, 5);
		done({
			paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
			elements: document.querySelectorAll('*').length,
			heap: performance.memory.usedJSHeapSize,
		});
	};
	look();
})`

// painted is what the page says then.
type painted struct {
	Paint    float64 `json:"paint"`    // milliseconds from the navigation
	Elements float64 `json:"elements"` // of the document
	Heap     float64 `json:"heap"`     // bytes, of JavaScript
}

// BenchmarkFirstPaint opens the page on a batch of 100 000 pictures in a browser (E2E_CHROMIUM). Reported are the browser's own first contentful paint, the time until the
// pictures in sight are there, and what the page weighs then.
func BenchmarkFirstPaint(b *testing.B) {
	program := os.Getenv("E2E_CHROMIUM")
	if program == "" {
		b.Fatal("E2E_CHROMIUM is not set: it names the browser, as scripts/fetch-chromium.sh prints it")
	}
	w := newWorld()
	const pictures = 100_000
	w.land("large", pictures)
	w.tell(func(s *web.State) {
		s.Batches = []web.Batch{{ID: "large", Total: pictures, Succeeded: pictures, Images: pictures, Done: true, From: "results"}}
	})
	server, err := web.New(w.config())
	if err != nil {
		b.Fatal(err)
	}
	site := httptest.NewServer(server.Handler())
	defer site.Close()

	browser, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(program), chromedp.UserDataDir(b.TempDir()), chromedp.NoSandbox, chromedp.WindowSize(1360, 850))...)
	defer stop()
	first, closeFirst := chromedp.NewContext(browser) // starts the browser, which is no part of what is measured
	defer closeFirst()
	if _, err := chromedp.Run(first, chromedp.Title()); err != nil {
		b.Fatalf("starting the browser %s: %v", program, err)
	}

	var paint, complete, elements, heap float64
	for b.Loop() {
		tab, closeTab := chromedp.NewContext(first)
		begin := time.Now()
		if err := chromedp.Do(tab, chromedp.Navigate(site.URL+"/#/batches/large")); err != nil {
			b.Fatal(err)
		}
		seen, err := chromedp.Run(tab, chromedp.Evaluate[painted](whenPainted, chromedp.EvalAwaitPromise))
		if err != nil {
			b.Fatal(err)
		}
		complete += time.Since(begin).Seconds()
		paint, elements, heap = paint+seen.Paint, elements+seen.Elements, heap+seen.Heap
		closeTab()
	}
	n := float64(b.N)
	b.ReportMetric(paint/n, "paint-ms")
	b.ReportMetric(1000*complete/n, "pictures-ms")
	b.ReportMetric(elements/n, "elements")
	b.ReportMetric(heap/n/(1<<20), "heap-MiB")
}
