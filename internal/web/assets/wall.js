// The wall: pictures in rows, of which only those in sight, and a little around them, are in the document. A hundred
// thousand take no more elements than fifty.
import { attribute, h, local, text } from './dom.js';
import { link } from './route.js';

const gap = 8; // px between tiles; app.css leaves it around the picture
// Sizes of tiles: the least width in pixels, and how many stand beside each other where the screen is too narrow for it.
const sizes = { small: [96, 4], medium: [144, 3], large: [224, 2] };
const around = 2; // rows kept above and below what is in sight
const tallest = 8_000_000; // px; browsers draw no element much taller
const settled = 90; // ms without scrolling, after which what is in sight is asked for
const readable = 2; // px/ms: somebody who scrolls no faster looks at the pictures, and gets them on the way
const bar = 56; // px, of the views at the bottom of a narrow screen
const failures = { failed: 'failed', cancelled: 'cancelled', expired: 'expired' };

// Wall shows a source (sources.js) and scrolls with the window.
export class Wall {
  #tiles = new Map(); // by key of the item: { element, ... }
  #current = 0; // place that Tab comes to
  #frame = 0;
  #settle = 0;
  #moved = { at: 0, y: 0, fast: false }; // the last scrolling: when, to where, how
  #end = new AbortController();

  constructor(source, { size, label, scrolled = () => {} }) {
    this.source = source;
    this.size = size;
    this.scrolled = scrolled;
    this.element = h('ul', { class: 'wall', 'aria-label': label, onkeydown: (event) => this.#key(event) });
    const { signal } = this.#end;
    const moved = () => {
      const now = performance.now();
      const { at, y } = this.#moved;
      this.#moved = { at: now, y: scrollY, fast: Math.abs(scrollY - y) > readable * Math.min(now - at, settled) };
      this.#soon();
    };
    addEventListener('scroll', moved, { passive: true, signal });
    addEventListener('resize', () => this.#soon(), { passive: true, signal });
    source.changed = () => this.#soon();
  }

  // resize makes the tiles small, medium or large, and keeps what is in sight there.
  resize(size) {
    const first = this.#firstInSight();
    this.size = size;
    this.draw();
    this.reveal(first);
  }

  // start draws for the first time, when the wall is in the document.
  start() {
    this.draw();
  }

  close() {
    this.#end.abort();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#settle);
    this.source.close();
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  // #measure works out the grid: columns, the height of a row, and how the scroll bar maps to rows when there are more
  // than an element can be tall.
  #measure() {
    const width = this.element.clientWidth;
    const [least, fewest] = sizes[this.size] ?? sizes.medium;
    const columns = Math.max(fewest, Math.floor((width + gap) / (least + gap)));
    const tile = (width + gap) / columns;
    const rows = Math.ceil(this.source.length / columns);
    const full = rows * tile;
    const height = Math.min(full, tallest);
    const top = this.element.getBoundingClientRect().top;
    const view = innerHeight;
    // How far into the wall the top of the window is: in pixels of the element, and of all rows.
    const into = Math.max(0, -top);
    const share = full > height ? (full - view) / Math.max(1, height - view) : 1;
    return { columns, tile, rows, height, into, at: into * share, share, view, top };
  }

  draw() {
    if (!this.element.isConnected || !this.element.clientWidth) return;
    const m = this.#measure();
    this.element.style.height = `${m.height}px`;
    this.element.style.setProperty('--tile', `${m.tile - gap}px`);
    const firstRow = Math.max(0, Math.floor(m.at / m.tile) - around);
    const lastRow = Math.min(m.rows - 1, Math.ceil((m.at + m.view - Math.max(0, m.top)) / m.tile) + around);
    const first = firstRow * m.columns;
    const last = Math.min(this.source.length, (lastRow + 1) * m.columns) - 1;

    const still = !this.#moved.fast || performance.now() - this.#moved.at >= settled;
    this.element.classList.toggle('fast', !still);
    const kept = new Map();
    const fresh = [];
    for (let i = first; i <= last; i++) {
      const { batch, index } = this.source.at(i);
      const key = `${batch}/${index}`;
      const tile = this.#tiles.get(key) ?? (still && this.#make(batch, index));
      if (!tile) continue; // flying past: the wall's own pattern stands for it
      this.#tiles.delete(key);
      kept.set(key, tile);
      const x = (i % m.columns) * m.tile;
      const y = Math.floor(i / m.columns) * m.tile - m.at + m.into;
      tile.element.style.transform = `translate(${x}px, ${y}px)`;
      this.#update(tile, i, still);
      if (!tile.element.parentNode) fresh.push(tile);
    }
    // The one with the focus stays, wherever it is: taking it away would lose the reader's place.
    for (const [key, tile] of this.#tiles) {
      if (tile.element.contains(document.activeElement)) kept.set(key, tile);
      else tile.element.remove();
    }
    this.#tiles = kept;
    if (fresh.length) this.#insert(fresh);
    if (still) {
      if (last >= first || !this.source.loaded) this.source.want(first, last);
    } else {
      clearTimeout(this.#settle);
      this.#settle = setTimeout(() => this.draw(), settled);
    }
    this.scrolled(m.into > m.tile / 2);
  }

  // #insert puts new tiles among the others in the order of their places, which is the order they are read in.
  #insert(fresh) {
    const tiles = [...this.#tiles.values()].sort((a, b) => a.place - b.place);
    let next = null;
    const missing = new Set(fresh);
    for (const tile of tiles.reverse()) {
      if (missing.has(tile)) this.element.insertBefore(tile.element, next);
      next = tile.element;
    }
  }

  #make(batch, index) {
    const image = h('img', { alt: '', decoding: 'async', draggable: 'false', hidden: true });
    const word = h('span', { class: 'word' });
    const caption = h('span', { class: 'caption', 'aria-hidden': 'true' });
    const anchor = h('a', { href: link.picture(batch, index), tabindex: '-1' }, image, word, caption);
    const element = h('li', { class: 'tile' }, anchor);
    const tile = { element, anchor, image, word, caption, batch, index, place: 0, shown: false };
    image.addEventListener('load', () => element.classList.add('here'));
    image.addEventListener('error', () => {
      image.hidden = true;
      element.dataset.is = 'lost';
      text(word, 'not in the store');
    });
    anchor.addEventListener('focus', () => {
      this.#current = tile.place;
      for (const other of this.#tiles.values()) attribute(other.anchor, 'tabindex', other === tile ? 0 : -1);
    });
    return tile;
  }

  #update(tile, i, still) {
    tile.place = i;
    attribute(tile.element, 'aria-posinset', i + 1);
    attribute(tile.element, 'aria-setsize', this.source.length);
    attribute(tile.anchor, 'tabindex', i === Math.min(this.#current, this.source.length - 1) ? 0 : -1);
    const item = this.source.item(i);
    if (item === tile.shown) return;
    const id = `${tile.batch}/${tile.index}`;
    if (!item) {
      tile.element.dataset.is = item === null ? 'pending' : 'unknown';
      attribute(tile.anchor, 'aria-label', item === null ? `${id}, no picture yet` : `${id}, loading`);
      tile.shown = item;
      return;
    }
    const thumb = local(item.thumb);
    if (thumb && !still) return; // later, when the scrolling has come to rest
    tile.shown = item;
    const about = item.prompt || `seed ${item.seed}`;
    text(tile.caption, about);
    if (thumb) {
      tile.element.dataset.is = 'picture';
      text(tile.word, '');
      tile.image.hidden = false;
      tile.image.src = `${thumb}?w=256`;
      attribute(tile.anchor, 'aria-label', `${about}, ${id}`);
    } else {
      const what = failures[item.status] ?? item.status;
      tile.element.dataset.is = item.status;
      tile.image.hidden = true;
      text(tile.word, what);
      attribute(tile.anchor, 'aria-label', `${id} ${what}${item.error ? `: ${item.error.message ?? item.error}` : ''}`);
    }
  }

  #firstInSight() {
    const m = this.#measure();
    return Math.min(this.source.length - 1, Math.floor(m.at / m.tile) * m.columns);
  }

  // reveal scrolls until the place is in sight.
  reveal(i) {
    if (i < 0) return;
    const m = this.#measure();
    const row = Math.floor(i / m.columns);
    const page = scrollY + m.top; // of the wall's top
    const to = (y) => scrollTo({ top: page + y / m.share, behavior: 'instant' }); // of all rows, to pixels of the element
    const head = document.querySelector('.top').offsetHeight + gap;
    const foot = matchMedia('(max-width: 48rem)').matches ? bar + gap : gap;
    const y = row * m.tile;
    // Where the wall begins below the top of the window, its first rows are in sight without scrolling into it.
    const seen = m.top > 0 ? -m.top : m.at;
    if (y < seen + head) to(y - head);
    else if (y + m.tile > seen + m.view - foot) to(y + m.tile - m.view + foot);
    this.#moved = { at: 0, y: scrollY, fast: false }; // nobody flies past: the place is meant
    this.draw();
  }

  // focus brings the place into sight and the focus to it.
  focus(i) {
    if (i < 0 || i >= this.source.length) return;
    this.#current = i;
    this.reveal(i);
    const { batch, index } = this.source.at(i);
    this.#tiles.get(`${batch}/${index}`)?.anchor.focus({ preventScroll: true });
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { columns, tile, view } = this.#measure();
    const page = Math.max(1, Math.floor(view / tile) - 1) * columns;
    const last = this.source.length - 1;
    const to = {
      ArrowLeft: this.#current - 1, ArrowRight: this.#current + 1,
      ArrowUp: this.#current - columns, ArrowDown: this.#current + columns,
      PageUp: Math.max(this.#current - page, this.#current % columns), PageDown: Math.min(this.#current + page, last),
      Home: 0, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to <= last) this.focus(to);
  }
}
