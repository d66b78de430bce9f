// The view of pictures: all that lands, or one batch, with the wall below.
import { get, path, post } from './api.js';
import { copyButton } from './copy.js';
import { confirm } from './dialogs.js';
import { h, text } from './dom.js';
import { noBatch, noPictures } from './empty.js';
import { clock, count, plural } from './format.js';
import { announce, attempt, sentence, toast } from './notify.js';
import { facts, left, progressBar, showProgress, standing, tally } from './progress.js';
import { BatchPictures, RecentPictures } from './sources.js';
import { Wall } from './wall.js';

const sizeKey = 'stipple.tiles';

// remembered is the reader's choice of size, if the browser keeps one.
function remembered() {
  try {
    return localStorage.getItem(sizeKey) ?? 'medium';
  } catch {
    return 'medium';
  }
}

// sizeChoice lets the reader choose how large tiles are.
function sizeChoice(chosen) {
  const now = remembered();
  const choose = (size) => {
    try {
      localStorage.setItem(sizeKey, size);
    } catch {
      // A browser that keeps nothing forgets this, too.
    }
    chosen(size);
  };
  return h('fieldset', { class: 'choice' }, h('legend', { class: 'unseen' }, 'Size of the pictures'),
    [['small', 'S'], ['medium', 'M'], ['large', 'L']].map(([size, letter]) =>
      h('label', { title: size }, h('input', { type: 'radio', name: 'size', value: size, 'aria-label': size, checked: now === size, onchange: () => choose(size) }), h('span', {}, letter))));
}

// View is what both kinds of pictures have in common.
class View {
  constructor(main, source, { title, label }) {
    this.source = source;
    this.empty = h('div');
    this.fresh = h('button', { type: 'button', class: 'button primary fresh', hidden: true, onclick: () => scrollTo({ top: 0 }) });
    this.wall = new Wall(source, { size: remembered(), label, scrolled: (away) => this.away(away) });
    this.heading = h('h1', { tabindex: '-1' }, title);
    this.sub = h('p', { class: 'hint' });
    this.actions = h('div', { class: 'actions' });
    this.panel = h('div', { class: 'panel' });
    main.replaceChildren(
      h('div', { class: 'head' }, h('div', { class: 'title' }, this.heading, this.sub), this.actions, sizeChoice((size) => this.wall.resize(size))),
      this.panel, this.empty, this.fresh,
      h('p', { class: 'unseen', id: 'wall-keys' }, 'Arrow keys move between pictures, Enter opens one.'),
      this.wall.element);
    this.wall.element.setAttribute('aria-describedby', 'wall-keys');
    scrollTo(0, 0);
  }

  away() {}

  // around is the places next to a picture, for going from one to the next.
  around(picture) {
    const i = this.source.place(picture);
    const at = (n) => (n >= 0 && n < this.source.length ? this.source.at(n) : null);
    return i < 0 ? {} : { place: i, of: this.source.length, before: at(i - 1), after: at(i + 1), item: this.source.item(i) };
  }

  focus(picture) {
    this.wall.focus(this.source.place(picture));
  }

  land(images) {
    this.source.land(images);
  }

  missed() {
    this.source.stale();
  }

  close() {
    this.wall.close();
  }
}

// RecentView shows all that lands.
export class RecentView extends View {
  constructor(main, state) {
    const source = new RecentPictures();
    super(main, source, { title: 'Pictures', label: 'All pictures, the newest first' });
    this.kind = '';
    const changed = source.changed;
    source.changed = () => {
      changed();
      this.show();
    };
    this.update(state);
    this.wall.start();
  }

  update(state) {
    this.state = state;
    this.show();
  }

  show() {
    const { loaded, length, waiting } = this.source;
    const pictures = this.state.batches.reduce((all, batch) => all + batch.succeeded, 0);
    text(this.sub, !loaded ? sentence(this.source.problem) || 'asking the queue …' : length ? `the newest of ${plural(Math.max(pictures, length), 'picture')}, as they land` : '');
    this.fresh.hidden = !waiting;
    text(this.fresh, waiting === 1 ? '1 new picture' : `${count(waiting)} new pictures`);
    // Drawn again only when it would say something else.
    const kind = !loaded || length ? '' : `${this.state.read_only} ${this.state.workers.some((worker) => !worker.gone)}`;
    if (kind !== this.kind) this.empty.replaceChildren(...(kind ? [noPictures(this.state)] : []));
    this.kind = kind;
  }

  away(away) {
    this.source.hold(away);
  }
}

// BatchView shows one batch: how far it is, what can be done with it, and a place for each of its jobs.
export class BatchView extends View {
  constructor(main, id, state) {
    const known = state.batches.find((batch) => batch.id === id);
    super(main, new BatchPictures(id, known?.total ?? 0), { title: id, label: `Pictures of ${id}` });
    this.id = id;
    this.bar = progressBar(id);
    this.buttons = {
      cancel: h('button', { type: 'button', class: 'button', onclick: () => this.cancel() }, 'Cancel'),
      failed: h('button', { type: 'button', class: 'button', onclick: () => this.retry() }, 'Retry failed'),
      download: copyButton('Copy download command', 'the command', () => `enqueue wait ${id} --out ${id}`, ''),
    };
    this.actions.append(...Object.values(this.buttons));
    this.when = h('p', { class: 'hint' });
    this.panel.replaceChildren(this.bar, this.when);
    this.asked = 0;
    this.update(state);
    this.wall.start();
  }

  update(state) {
    this.state = state;
    const batch = state.batches.find((one) => one.id === this.id);
    if (batch) this.show(batch);
    else this.ask();
  }

  // ask asks for a batch that is not among the newest.
  async ask() {
    if (this.asking || Date.now() - this.asked < 2000) return;
    this.asking = true;
    try {
      this.show(await get(path.batch(this.id)));
    } catch (error) {
      const gone = error.status === 404;
      text(this.sub, gone ? '' : `${error.message}`);
      this.panel.hidden = this.actions.hidden = gone;
      if (gone && !this.empty.hasChildNodes()) this.empty.replaceChildren(noBatch(this.id));
    } finally {
      this.asking = false;
      this.asked = Date.now();
    }
  }

  show(batch) {
    if (this.batch && !this.batch.done && batch.done) announce(`Batch ${this.id} is done: ${standing(batch)}`);
    this.batch = batch;
    this.panel.hidden = this.actions.hidden = false;
    this.empty.replaceChildren();
    this.source.grow(batch.total);
    this.wall.draw();
    showProgress(this.bar, batch);
    text(this.sub, [standing(batch), left(batch)].filter(Boolean).join(' · '));
    facts(this.when, batch.sent_at && `sent ${clock(batch.sent_at)}`, batch.last_at && `last picture ${clock(batch.last_at)}`,
      batch.invalid ? `${count(batch.invalid)} invalid` : '', batch.dead ? `${plural(batch.dead, 'dead letter')}` : '');
    const write = !this.state.read_only;
    this.buttons.cancel.hidden = !write || batch.done || batch.state === 'cancelled';
    this.buttons.failed.hidden = !write || !tally(batch).failed;
    this.buttons.download.hidden = !batch.succeeded;
  }

  land(images) {
    super.land(images);
    // A batch that the state does not list is asked for when something of it lands.
    if (images.some((item) => item.batch === this.id) && !this.state.batches.some((batch) => batch.id === this.id)) this.ask();
  }

  async cancel() {
    if (!await confirm({
      title: `Cancel ${this.id}?`, yes: 'Cancel the batch', danger: true,
      detail: `${plural(this.batch.pending, 'job')} of ${count(this.batch.total)} will not be drawn; those that run stop at their next step. Pictures that are there stay.`,
    })) return;
    const answer = await attempt(() => post(`${path.batch(this.id)}/cancel`));
    if (answer) toast(`Cancelled ${plural(answer.cancelled, 'job')} of ${this.id}`);
  }

  async retry() {
    if (!await confirm({
      title: `Retry what failed of ${this.id}?`, yes: 'Retry', no: 'No',
      detail: `${plural(tally(this.batch).failed, 'job')} will be put back into the queue, with the same index and seed.`,
    })) return;
    const answer = await attempt(() => post(`${path.batch(this.id)}/retry`, { what: 'failed' }));
    if (answer) toast(answer.jobs ? `${plural(answer.jobs, 'job')} of ${this.id} went back into the queue` : `Nothing of ${this.id} is left to retry`);
  }
}
