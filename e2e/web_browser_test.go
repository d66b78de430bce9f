package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium that shows the page. It notes whatever a page must not do: ask another server, run
// what it was not served with, fail with an exception.
type browser struct {
	t    *testing.T
	ctx  context.Context // of the tab: what chromedp knows it by
	home *url.URL

	mu       sync.Mutex
	breaches []string
	forgiven []string // texts of the console that are none: requests fail while servers are away
}

// newBrowser starts one and opens the page.
func newBrowser(t *testing.T, home string) *browser {
	t.Helper()
	program := os.Getenv("E2E_CHROMIUM")
	if program == "" {
		t.Fatal("E2E_CHROMIUM is not set: it names the browser, as scripts/fetch-chromium.sh prints it")
	}
	at, err := url.Parse(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(folder(t), "profile")), chromedp.NoSandbox, chromedp.WindowSize(1360, 850))...)
	ctx, stopTab := chromedp.NewContext(ctx)
	b := &browser{t: t, ctx: ctx, home: at}
	t.Cleanup(func() {
		if t.Failed() {
			b.shot("failed")
		}
		b.check()
		stopTab()
		stop()
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("starting the browser %s: %v", program, err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, page.Enable, page.EnableParams{})
	b.open("#/")
	return b
}

// hear notes what a page must not do. It runs in the loop that reads the browser's messages.
func (b *browser) hear(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if to, err := url.Parse(e.Request.URL); err != nil || to.Host != b.home.Host && to.Scheme != "data" && to.Scheme != "about" {
			b.note("a request left the origin: " + e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		b.note("an exception: " + text)
	case *page.EventJavascriptDialogOpening:
		b.note("a script opened a dialog: " + e.Message)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.note(fmt.Sprintf("the console says: %s %s", e.Entry.Text, e.Entry.URL))
		}
	}
}

func (b *browser) note(breach string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.forgiven {
		if strings.Contains(breach, text) {
			return
		}
	}
	if !slices.Contains(b.breaches, breach) {
		b.breaches = append(b.breaches, breach)
	}
}

// forgive lets entries of the console pass that hold one of the texts.
func (b *browser) forgive(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgiven = texts
}

// check fails the story for what was noted.
func (b *browser) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, breach := range b.breaches {
		b.t.Error(breach)
	}
	b.breaches = nil
}

// run drives the browser.
func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, startTime)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("driving the browser: %v", err)
	}
}

// call sends the browser a command of its protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, startTime)
	defer cancel()
	answer, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("driving the browser: %s: %v", command.Method, err)
	}
	return answer
}

// open goes to an address of the page: what stands behind #.
func (b *browser) open(hash string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.home.String() + hash))
}

// do evaluates JavaScript in the page and returns its value. Each %s stands for an argument, as JSON.
func do[T any](b *browser, script string, args ...any) T {
	b.t.Helper()
	for _, arg := range args {
		text, err := json.Marshal(arg)
		if err != nil {
			b.t.Fatal(err)
		}
		script = strings.Replace(script, "%s", string(text), 1)
	}
	ctx, cancel := context.WithTimeout(b.ctx, startTime)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluating %s: %v", script, err)
	}
	return value
}

// shows waits until what a selector finds first has a text that holds all the words.
func (b *browser) shows(selector string, words ...string) {
	b.t.Helper()
	eventually(b.t, startTime, func() string {
		text := b.text(selector)
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Sprintf("%s does not show %q, but %q", selector, word, tail(text, 20))
			}
		}
		return ""
	})
}

// text is what a person sees of what a selector finds first; "" of nothing.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return do[string](b, `(e => e && e.checkVisibility() ? e.innerText : '')(document.querySelector(%s))`, selector)
}

// count is how many elements a selector finds.
func (b *browser) count(selector string) int {
	b.t.Helper()
	return do[int](b, `document.querySelectorAll(%s).length`, selector)
}

// until waits until a condition in JavaScript holds.
func (b *browser) until(condition string, args ...any) {
	b.t.Helper()
	eventually(b.t, startTime, func() string {
		if do[bool](b, "Boolean("+condition+")", args...) {
			return ""
		}
		return condition + " does not hold"
	})
}

// click clicks in the middle of what a selector finds, with the mouse, as soon as it can be seen.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.until(`document.querySelector(%s)?.checkVisibility()`, selector)
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// fill puts text into a field in the place of what is there.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.click(selector)
	do[bool](b, `(document.querySelector(%s).select(), true)`, selector)
	call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// press presses keys, one after the other: those of chromedp/kb, or characters.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.run(chromedp.KeyEvent(key))
	}
}

// resize gives the page another size, in CSS pixels.
func (b *browser) resize(width, height int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
}

// shot keeps a picture of the page in E2E_SHOTS, if that is set, for a person to look at.
func (b *browser) shot(name string) {
	dir := os.Getenv("E2E_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("taking a picture of the page: %v", err)
		return
	}
	file := filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png")
	if err := os.WriteFile(file, png, 0o600); err != nil {
		b.t.Logf("keeping a picture of the page: %v", err)
	}
}
