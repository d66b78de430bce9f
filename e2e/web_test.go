package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	permission "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// serve starts the page and returns its address.
func (w *world) serve(name, listen string, args ...string) (p *process, home string) {
	w.t.Helper()
	p = start(w.t, w.dir, name, w.environment(), given.enqueue, append([]string{"serve", "--listen", listen}, args...)...)
	eventually(w.t, startTime, func() string {
		if !p.running() {
			w.t.Fatalf("enqueue serve ended instead of starting:\n%s", tail(p.errs(), 20))
		}
		for word := range strings.FieldsSeq(p.out() + " " + p.errs()) {
			if at := strings.Index(word, "http://127.0.0.1:"); at >= 0 {
				home = strings.TrimRight(word[at:], `/.,"`) + "/"
				if resp, err := http.Get(home + "api/state"); err == nil {
					resp.Body.Close()
					return ""
				}
			}
		}
		return "enqueue serve does not answer"
	})
	return p, home
}

// TestPage goes through the page as somebody does who has just started it: nothing there, a grid by the form, pictures
// that land, one of them looked at from all sides, the same again by its command, and what goes wrong put right.
func TestPage(t *testing.T) {
	w := newWorld(t)
	_, home := w.serve("page", "127.0.0.1:0", "--write")
	b := newBrowser(t, home)
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		call(b, permission.SetPermission, permission.SetPermissionParams{Permission: &permission.PermissionDescriptor{Name: name}, Setting: permission.PermissionSettingGranted})
	}
	b.shows("main", "No pictures yet", "Start a worker", "bin/worker", "bin/enqueue")
	b.shows("#no-workers", "No worker")
	b.shot("empty")
	w.worker("painter")
	b.shows("#workers", "painter", "sd15")
	b.until(`!document.getElementById('main').innerText.includes('Start a worker')`)

	b.click("#new")
	b.fill("[name=prompt]", "a red apple")
	b.fill("[name=seeds]", "1..4")
	b.fill("[name=steps]", "2")
	b.fill("[name=batch]", "apples")
	b.shows(".order .total", "4 pictures")
	b.shot("form")
	b.click(".order footer .primary")
	b.shows("#main h1", "apples")
	b.until(`document.querySelectorAll('.tile.here').length === 4`)
	b.shows("#batches", "apples", "4 pictures")
	for index, r := range w.done("apples", 4, startTime) {
		if want := fmt.Sprint(index + 1); string(r.Seed) != want {
			t.Errorf("picture %d was drawn with the seed %s, want %s", index, r.Seed, want)
		}
	}

	b.click(".tile:nth-of-type(2) a")
	b.shows(".details h2", "apples/1")
	b.shows(".details .facts", "a red apple", "denoising", "upload", "Record", w.results("apples")[1].TraceID)
	b.until(`document.querySelector('.details .frame img')?.naturalWidth === 128`)
	b.shot("details")
	b.click(".details .facts .primary")
	b.shows("#toasts", "Copied")
	copied := do[string](b, `navigator.clipboard.readText()`)
	b.press(kb.ArrowRight)
	b.shows(".details h2", "apples/2")
	b.press(kb.ArrowLeft, kb.ArrowLeft)
	b.shows(".details h2", "apples/0")
	if hash := do[string](b, `location.hash`); hash != "#/batches/apples/0" {
		t.Errorf("the picture's link is %s", hash)
	}
	b.press(kb.Escape)
	b.until(`!document.querySelector('dialog') && location.hash === '#/batches/apples' && document.activeElement.hash === '#/batches/apples/0'`)

	// The command that was copied draws the same picture.
	command, ok := strings.CutPrefix(copied, "enqueue ")
	if !ok {
		t.Fatalf("copied %q, which is no command of enqueue", copied)
	}
	shell := exec.Command("/bin/sh", "-c", given.enqueue+" --batch again --wait "+command)
	shell.Env = w.environment()
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", copied, err, out)
	}
	if one, other := w.results("apples")[1], w.results("again")[0]; other.Image == nil || one.Image.PixelsSHA256 != other.Image.PixelsSHA256 {
		t.Errorf("%s drew another picture: %s, not %s", copied, other.raw, one.raw)
	}

	// A link opens its picture, over its batch.
	b.run(chromedp.Navigate("about:blank"))
	b.open("#/batches/apples/3")
	b.shows(".details h2", "apples/3")
	b.press(kb.Escape)
	b.shows("#main h1", "apples")
}

// TestPagePutsThingsRight pauses a model, cancels what waits for it, and puts a dead letter back.
func TestPagePutsThingsRight(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	_, home := w.serve("page", "127.0.0.1:0", "--write")
	b := newBrowser(t, home)
	w.enqueue("a hen", "--steps", "1", "--batch", "hens")
	b.shows("#queue", "sd15")

	b.click("#queue .pause")
	b.shows("#queue", "paused")
	w.enqueue("a fox", "--seeds", "1..5", "--batch", "foxes")
	b.open("#/batches/foxes")
	b.until(`document.querySelectorAll('.tile[data-is=pending]').length === 5`)
	b.open("#/batches/foxes/3")
	b.shows(".details .standing", "Waiting")
	b.click(".details .facts .actions .button:last-child")
	b.shows(".confirm", "Cancel foxes/3?")
	b.press(kb.Escape)
	b.until(`!document.querySelector('.confirm') && document.querySelector('.details')`)
	b.click(".details .facts .actions .button:last-child")
	b.click(".confirm .danger")
	b.shows(".details", "Cancelled")
	b.press(kb.Escape)
	b.click(".head .actions .button")
	b.shows(".confirm", "Cancel foxes?", "jobs of 5")
	b.click(".confirm .danger")
	b.shows("#toasts", "of foxes")
	b.shows(".head .title", "5 cancelled")
	b.click("#queue .pause")
	b.until(`!document.querySelector('#queue').innerText.includes('paused')`)

	w.publishRaw("normal", "broken", encode(t, quick(0).with("width", 63)), header("Nats-Msg-Id", "broken/0"))
	b.shows("#dead-count", "1")
	b.click(".views [data-view=dead]")
	b.shows(".letters", "broken/0", "invalid_job", "Width is 63")
	b.shot("dead")
	before := w.state("DEAD").LastSeq
	b.click(".letters .do")
	b.shows(".confirm", "Requeue broken/0?")
	b.click(".confirm .primary")
	b.shows("#toasts", "1 job went back into the queue")
	// Its width is as wrong as before, so it comes back: it has been in the queue.
	eventually(t, startTime, func() string {
		if now := w.state("DEAD").LastSeq; now == before {
			return "the job of the dead letter was not tried again"
		}
		return ""
	})
	b.shows(".letters", "broken/0")
}

// TestPageTrustsNoPrompt shows prompts that are markup, code and addresses. They are read as they are, and do nothing;
// what a script would do, the browser notes (newBrowser).
func TestPageTrustsNoPrompt(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	_, home := w.serve("page", "127.0.0.1:0")
	prompts := []string{
		`<img src=x onerror=alert(1)>`, `</script><script>alert(2)</script>`, `javascript:alert(3)`, `"><svg onload=alert(4)>`,
		`<style>body{display:none}</style>`, `<a href="https://example.com/">here</a>`, `{{constructor.constructor('alert(5)')()}}`,
	}
	w.enqueue(append(prompts, "--steps", "2", "--batch", "sly", "--negative-prompt", `<iframe src="https://example.com/"></iframe>`)...)
	w.done("sly", len(prompts), startTime)
	b := newBrowser(t, home)
	b.open("#/batches/sly")
	b.until(`document.querySelectorAll('.tile.here').length === %s`, len(prompts))
	for i, prompt := range prompts {
		b.open(fmt.Sprintf("#/batches/sly/%d", i))
		b.until(`document.querySelector('.details .prompt')?.textContent === %s`, prompt)
		b.shows(".details .negative", `<iframe`)
		b.until(`document.querySelector('.details .frame img')?.alt === %s`, prompt)
	}
	if n := b.count("script, iframe, style, object, embed, svg [onload], [onerror], a[href^='http'], a[href^='javascript']"); n != 1 {
		t.Errorf("%d elements that run or load something, want the page's own script alone", n)
	}
	b.shows("#about", "read-only")
	if n := b.count("#new:not([hidden])"); n != 0 {
		t.Error("a read-only page offers to submit")
	}
	b.forgive("status of 403")
	if got := do[int](b, `fetch('/api/batches/sly/cancel', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then(r => r.status)`); got != http.StatusForbidden {
		t.Errorf("cancelling on a read-only page: status %d, want 403", got)
	}
}

// TestPageByKeyboard goes through the page without a mouse, and then holds it against a phone of 360 pixels.
func TestPageByKeyboard(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	_, home := w.serve("page", "127.0.0.1:0", "--write")
	w.enqueue("a fox", "--seeds", "1..30", "--steps", "1", "--batch", "foxes")
	w.done("foxes", 30, startTime)
	b := newBrowser(t, home)
	b.open("#/batches/foxes")
	b.until(`document.querySelectorAll('.tile.here').length === 30`)
	b.run(chromedp.Reload())
	b.until(`document.querySelectorAll('.tile.here').length === 30`)

	b.press(kb.Tab)
	b.until(`document.activeElement.id === 'skip' && document.activeElement.getBoundingClientRect().top >= 0`)
	b.press(kb.Enter)
	b.until(`document.activeElement.id === 'main'`)
	for range 12 {
		b.press(kb.Tab)
		if do[bool](b, `document.activeElement.matches('.tile a')`) {
			break
		}
	}
	b.until(`document.activeElement.hash === '#/batches/foxes/0'`)
	b.press(kb.ArrowRight, kb.ArrowRight, kb.End)
	b.until(`document.activeElement.hash === '#/batches/foxes/29'`)
	b.press(kb.Home, kb.Enter)
	b.shows(".details h2", "foxes/0")
	for range 14 {
		b.press(kb.Tab)
		// The browser's own bar is a stop on the way, where the document has no focus.
		b.until(`document.activeElement === document.body || document.querySelector('.details').contains(document.activeElement)`)
	}
	b.press(kb.Escape)
	b.until(`!document.querySelector('dialog') && document.activeElement.hash === '#/batches/foxes/0'`)
	if name := do[string](b, `[...document.querySelectorAll('a, button, input, select, textarea, dialog, [role=progressbar], [role=meter]')].filter(e => e.checkVisibility() && !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.innerText?.trim() || e.labels?.length)).map(e => e.outerHTML).join()`); name != "" {
		t.Errorf("without a name: %s", name)
	}

	b.resize(360, 740)
	for _, hash := range []string{"#/", "#/overview", "#/dead", "#/batches/foxes", "#/batches/foxes/3", "#/new"} {
		b.open(hash)
		b.until(`document.getElementById('main').childElementCount > 0 && (!/\/3$|new$/.test(location.hash) || document.querySelector('dialog .facts:not([aria-busy]), dialog form'))`)
		b.until(`!document.querySelector('.wall')?.checkVisibility() || document.querySelectorAll('.tile.here').length > 9`)
		if wide := do[string](b, `document.documentElement.scrollWidth <= 360 ? '' : [...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 360).slice(0, 5).map(e => e.tagName + '.' + e.className).join()`); wide != "" {
			t.Errorf("%s is wider than the screen: %s", hash, wide)
		}
		b.shot("phone" + strings.NewReplacer("#", "", "/", "-").Replace(hash))
	}
}
