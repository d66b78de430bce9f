// Where the wall has its pictures from. A source has a length, the item at each place (null where a job has no picture
// yet, undefined where that is not known), and is told which places are wanted. It calls changed when anything did.
import { get, path } from './api.js';

const pageSize = 200; // jobs asked for at once
const mostPages = 100; // pages kept; the oldest that nobody wants are forgotten
const atOnce = 2; // questions under way
const retryAfter = 2000; // ms

// BatchPictures is one batch: place i is job i, so any part of it can be had without what is before.
export class BatchPictures {
  #pages = new Map(); // number -> { items: Map of index to item, state: 'loading' | 'loaded' | 'stale' }
  #wanted = [];
  #loading = 0;
  #end = new AbortController();

  constructor(batch, total) {
    this.batch = batch;
    this.length = total;
    this.changed = () => {};
  }

  // grow says how many jobs the batch has by now.
  grow(total) {
    if (total <= this.length) return;
    this.length = total;
    this.stale(); // the last page may have ended before
  }

  place = (item) => (item.batch === this.batch ? item.index : -1);
  at = (i) => ({ batch: this.batch, index: i });

  item(i) {
    const page = this.#pages.get(Math.floor(i / pageSize));
    const item = page?.items.get(i);
    return item ?? (page && page.state !== 'loading' ? null : undefined);
  }

  // want loads the pages of the places first to last, and drops the wish for others.
  want(first, last) {
    this.#wanted = [];
    const end = Math.min(last, this.length - 1);
    for (let n = Math.floor(first / pageSize); n <= Math.floor(end / pageSize); n++) this.#wanted.push(n);
    this.#next();
  }

  #next() {
    while (this.#loading < atOnce) {
      const n = this.#wanted.find((one) => !['loading', 'reloading', 'loaded'].includes(this.#pages.get(one)?.state));
      if (n === undefined) return;
      this.#load(n);
    }
  }

  async #load(n) {
    const page = this.#pages.get(n) ?? { items: new Map() };
    const known = page.state !== undefined;
    page.state = known ? 'reloading' : 'loading';
    this.#pages.delete(n); // to the end: the order is that of use
    this.#pages.set(n, page);
    this.#loading++;
    try {
      const { images } = await get(path.pictures(this.batch, n * pageSize, pageSize), this.#end.signal);
      // What landed meanwhile stays.
      for (const item of images) page.items.set(item.index, item);
      if (page.state !== 'stale') page.state = 'loaded';
    } catch {
      if (this.#end.signal.aborted) return;
      if (known) page.state = 'stale';
      else this.#pages.delete(n);
      // The places stay on the wall as they are; what is wrong stands among the problems.
      this.#loading--;
      setTimeout(() => this.#next(), retryAfter);
      return;
    }
    this.#loading--;
    this.#forget();
    this.changed();
    this.#next();
  }

  #forget() {
    for (const n of [...this.#pages.keys()]) {
      if (this.#pages.size <= mostPages) return;
      if (!this.#wanted.includes(n) && this.#pages.get(n).state !== 'loading') this.#pages.delete(n);
    }
  }

  // land takes pictures that have just come. Those of pages that nobody has looked at are left for the server to tell.
  land(items) {
    let mine = 0;
    for (const item of items) {
      if (item.batch !== this.batch) continue;
      this.length = Math.max(this.length, item.index + 1);
      this.#pages.get(Math.floor(item.index / pageSize))?.items.set(item.index, item);
      mine++;
    }
    if (mine) this.changed();
  }

  // stale says that pictures may have landed unheard: pages are asked for again when they are wanted.
  stale() {
    for (const page of this.#pages.values()) page.state = page.state === 'loading' ? 'loading' : 'stale';
    this.#next();
  }

  close() {
    this.#end.abort();
    this.changed = () => {};
  }
}

const mostRecent = 50_000; // items kept

const keyOf = (item) => `${item.batch}/${item.index}`;

// RecentPictures is all that lands, in any batch, the newest first. While it is held, what lands waits, so that nothing
// moves under the eyes of somebody who has scrolled down.
export class RecentPictures {
  #items = [];
  #places = null; // of keys; made when asked for, forgotten when items move
  #known = new Set();
  #waiting = new Map(); // by key, in the order in which they came
  #held = false;
  #next = ''; // cursor of what is older
  #all = false; // nothing is older
  #busy = false;
  #end = new AbortController();

  constructor() {
    this.changed = () => {};
    this.loaded = false;
    this.problem = ''; // why there is nothing yet
  }

  get length() {
    return this.#items.length;
  }

  get waiting() {
    return this.#waiting.size;
  }

  at = (i) => this.#items[i];
  item = (i) => this.#items[i];

  place(item) {
    this.#places ??= new Map(this.#items.map((one, i) => [keyOf(one), i]));
    return this.#places.get(keyOf(item)) ?? -1;
  }

  // want loads older pictures when the last places come into sight.
  want(first, last) {
    if (!this.loaded || last >= this.#items.length - 1 - pageSize / 2) this.#load();
  }

  async #load() {
    if (this.#busy || this.#all) return;
    this.#busy = true;
    try {
      const { images, next } = await get(path.recent(this.#next, pageSize), this.#end.signal);
      const fresh = images.filter((item) => !this.#known.has(keyOf(item)));
      for (const item of fresh) this.#known.add(keyOf(item));
      this.#items.push(...fresh);
      this.#places = null;
      this.#next = next;
      this.#all = !next || this.#items.length >= mostRecent;
      this.loaded = true;
      this.problem = '';
    } catch (error) {
      if (this.#end.signal.aborted) return;
      this.problem = error.message;
      setTimeout(() => this.#load(), retryAfter);
    } finally {
      this.#busy = false;
    }
    this.changed();
  }

  // hold keeps what lands back, or lets it in.
  hold(held) {
    this.#held = held;
    if (!held && this.#waiting.size) this.#enter();
  }

  land(items) {
    for (const item of items) {
      const key = keyOf(item);
      if (this.#known.has(key) && !this.#waiting.has(key)) {
        // A job that was tried again has another record.
        const i = this.place(item);
        if (i >= 0) this.#items[i] = item;
        continue;
      }
      this.#known.add(key);
      this.#waiting.set(key, item);
    }
    for (const old of this.#waiting.keys()) {
      if (this.#waiting.size <= mostRecent) break;
      this.#waiting.delete(old);
      this.#known.delete(old);
    }
    if (this.#held) this.changed();
    else this.#enter();
  }

  #enter() {
    this.#items = [...this.#waiting.values()].reverse().concat(this.#items);
    this.#waiting.clear();
    this.#places = null;
    if (this.#items.length >= mostRecent) {
      for (const old of this.#items.splice(mostRecent)) this.#known.delete(keyOf(old));
      this.#all = true;
    }
    this.changed();
  }

  // stale asks for the newest ones again. If they do not reach back to those that are known, there is a gap, and the
  // wall begins anew.
  async stale() {
    try {
      const { images, next } = await get(path.recent('', pageSize), this.#end.signal);
      if (this.#items.length && next && !images.some((item) => this.#known.has(keyOf(item)))) {
        this.#items = [];
        this.#waiting.clear();
        this.#known.clear();
        this.#next = next;
        this.#all = false;
      }
      this.land(images.reverse());
      this.loaded = true;
    } catch {
      // The stream says so too, and this is called again when it is back.
    }
  }

  close() {
    this.#end.abort();
    this.changed = () => {};
  }
}
