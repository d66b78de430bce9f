package e2e_test

import (
	"fmt"
	"testing"
)

// TestPageReadsAndWritesFigures asks the page's own modules, in the browser, what they make of values that people write
// and of figures that servers send. Neither broker nor store is there, which the page says.
func TestPageReadsAndWritesFigures(t *testing.T) {
	w := newWorldWithout(t)
	_, home := w.serve("page", "127.0.0.1:0")
	b := newBrowser(t, home)
	b.forgive("Failed to load resource") // what the broker would know
	b.shows("#problem-list", "broker")
	for _, tt := range []struct{ module, call, want string }{
		{"values", `m.seeds('7')`, `[7]`},
		{"values", `m.seeds('1..4, 9')`, `[1,2,3,4,9]`},
		{"values", `m.seeds('10..50..20')`, `[10,30,50]`},
		{"values", `m.seeds('')`, `[]`},
		{"values", `m.seeds('9007199254740992 9007199254740993')`, `[9007199254740992,"9007199254740993"]`},
		{"values", `m.seeds('18446744073709551615')`, `["18446744073709551615"]`},
		{"values", `m.seeds('18446744073709551616')`, `"18446744073709551616 is larger than a seed can be, which is 18446744073709551615"`},
		{"values", `m.seeds('-1')`, `"“-1” is no seed; write 7, or 1..4, or 1, 5, 9"`},
		{"values", `m.seeds('4..1')`, `"“4..1” runs backwards"`},
		{"values", `m.seeds('1..9..0')`, `"“1..9..0” has a step of 0"`},
		{"values", `m.seeds('1..2..3..4')`, `"“1..2..3..4” is no range; write 1..4 or 1..10..3"`},
		{"values", `m.seeds('1, 1')`, `"a value stands there twice"`},
		{"values", `m.seeds('1..18446744073709551615')`, `"these are more than 10000 values; send a larger batch with enqueue"`},
		{"values", `m.integers('1001', 1, 1000)`, `"1001 is not from 1 to 1000"`},
		{"values", `m.integers('10..40..10', 1, 1000)`, `[10,20,30,40]`},
		{"values", `m.numbers('2,5.5,9', 0, 50)`, `[2,5.5,9]`},
		{"values", `m.numbers('1e3', 0, 50)`, `"“1e3” is no number; write 7.5, or 2, 5, 9"`},
		{"values", `m.lines(' a cat \n\n a dog')`, `["a cat","a dog"]`},
		{"format", `[0, 9999, 12345].map(m.short)`, `["0","9,999","12.3K"]`},
		{"format", `[0, 0.01, 3.21, 14.66, 412.8].map(m.rate)`, `["0/s","0.6/min","3.21/s","14.7/s","413/s"]`},
		{"format", `[0.5, 9.14, 512, 999.7, 2500, 61000].map(m.millis)`, `["0.50 ms","9.1 ms","512 ms","1.00 s","2.50 s","1 min 1 s"]`},
		{"format", `[0, 59, 65, 3600, 90000].map(m.seconds)`, `["0 s","59 s","1 min 5 s","1 h","1 d 1 h"]`},
		{"format", `[999, 18234, 2500000].map(m.bytes)`, `["999 B","18.2 kB","2.5 MB"]`},
		{"format", `['', '0001-01-01T00:00:00Z', undefined].map(m.clock)`, `["","",""]`},
		{"dom", `['/thumb/a', '//evil/a', '/\\evil/a', 'https://evil/a', 'javascript:alert(1)', undefined].map(m.local)`, `["/thumb/a",null,null,null,null,null]`},
		// What lands while somebody has scrolled down, for days: the newest of it, each job as it was recorded last.
		{"sources", `((r) => { r.hold(true); r.land([{ batch: 'b', index: 0, status: 'failed' }]); r.land([{ batch: 'b', index: 0, status: 'succeeded' }]); r.hold(false); return [r.length, r.item(0).status]; })(new m.RecentPictures())`,
			`[1,"succeeded"]`},
		{"sources", `((r) => { r.hold(true); for (let i = 0; i < 300000; i++) r.land([{ batch: 'b', index: i }]); const waits = r.waiting; r.hold(false); return [waits, r.length, r.item(0).index, r.waiting]; })(new m.RecentPictures())`,
			`[50000,50000,299999,0]`},
		{"route", `['', '#/', '#/batches/a', '#/batches/a/7', '#/batches/a/-7', '#/batches/%', '#/batches/a/7/8', '#/dead', '#/x'].map(h => m.parse(h).view)`,
			`["pictures","pictures","batch","picture","pictures","pictures","pictures","dead","pictures"]`},
	} {
		script := fmt.Sprintf(`import('/assets/%s.js').then((m) => { try { return %s; } catch (e) { return e.message; } }).then((v) => JSON.stringify(v))`, tt.module, tt.call)
		if got := do[string](b, script); got != tt.want {
			t.Errorf("%s: %s is %s, want %s", tt.module, tt.call, got, tt.want)
		}
	}
}
