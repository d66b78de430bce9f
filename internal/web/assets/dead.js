// The view of dead letters: jobs that could not be drawn, why, and the way back into the queue.
import { get, path, post } from './api.js';
import { confirm } from './dialogs.js';
import { attribute, h, keyed, text } from './dom.js';
import { noDead } from './empty.js';
import { clock, plural } from './format.js';
import { attempt, sentence, toast } from './notify.js';
import { link } from './route.js';

const pageSize = 100;

// DeadView lists them, a page at a time.
export class DeadView {
  #letters = new Map(); // by id
  #chosen = new Set(); // ids
  #next = '';
  #again = 0;
  #end = new AbortController();

  constructor(main, state) {
    this.state = state;
    this.heading = h('h1', { tabindex: '-1' }, 'Dead letters');
    this.sub = h('p', { class: 'hint' }, 'asking the queue …');
    this.all = h('input', { type: 'checkbox', onchange: () => this.chooseAll(this.all.checked) });
    this.requeueChosen = h('button', { type: 'button', class: 'button primary', onclick: () => this.requeue([...this.#chosen]) }, 'Requeue');
    this.actions = h('div', { class: 'actions', hidden: true }, h('label', { class: 'check' }, this.all, ' all of these'), this.requeueChosen);
    this.list = h('ul', { class: 'letters', 'aria-label': 'Dead letters' });
    this.more = h('button', { type: 'button', class: 'button', hidden: true, onclick: () => this.load() }, 'More');
    this.empty = h('div');
    main.replaceChildren(h('div', { class: 'head' }, h('div', { class: 'title' }, this.heading, this.sub), this.actions), this.empty, this.list, this.more);
    scrollTo(0, 0);
    this.load();
  }

  update(state) {
    const changed = this.state.dead.count !== state.dead.count;
    this.state = state;
    if (changed) this.missed();
    else this.show();
  }

  // missed asks again for what is shown: letters may have come, or have been taken away by others.
  async missed() {
    const most = Math.min(1000, Math.max(pageSize, this.#letters.size));
    await this.take(path.dead('', most), () => this.#letters.clear());
  }

  load() {
    return this.take(path.dead(this.#next, pageSize), () => {});
  }

  async take(from, before) {
    try {
      const page = await get(from, this.#end.signal);
      before();
      for (const letter of page.dead) this.#letters.set(letter.id, letter);
      this.#next = page.next;
      this.count = page.count;
      this.loaded = true;
      for (const id of this.#chosen) if (!this.#letters.has(id)) this.#chosen.delete(id);
      this.show();
      // One that was put back may be here again before the state has told that it was gone.
      clearTimeout(this.#again);
      if (this.count !== this.state.dead.count) this.#again = setTimeout(() => this.missed(), 1000);
    } catch (error) {
      if (this.#end.signal.aborted) return;
      text(this.sub, sentence(error.message));
      setTimeout(() => this.#end.signal.aborted || this.take(from, before), 2000);
    }
  }

  show() {
    if (!this.loaded) return;
    const letters = [...this.#letters.values()];
    const write = !this.state.read_only;
    text(this.sub, letters.length ? `${plural(this.count, 'job')} that could not be drawn${letters.length < this.count ? `; ${letters.length} are shown` : ''}` : '');
    this.more.hidden = !this.#next || letters.length >= this.count;
    this.actions.hidden = !write || !letters.length;
    if (!letters.length) {
      if (!this.empty.hasChildNodes()) this.empty.replaceChildren(noDead());
    } else this.empty.replaceChildren();
    keyed(this.list, letters, (letter) => letter.id, (letter) => this.make(letter), (element, letter) => {
      element.querySelector('.do').hidden = !write;
      const box = element.querySelector('input');
      box.hidden = !write;
      box.checked = this.#chosen.has(letter.id);
    });
    const chosen = this.#chosen.size;
    this.all.checked = chosen > 0 && chosen === letters.length;
    this.all.indeterminate = chosen > 0 && chosen < letters.length;
    text(this.requeueChosen, chosen ? `Requeue ${plural(chosen, 'job')}` : 'Requeue');
    this.requeueChosen.disabled = !chosen;
  }

  make(letter) {
    const name = letter.job || `letter ${letter.id}`;
    const box = h('input', { type: 'checkbox', 'aria-label': `Choose ${name}`, onchange: () => this.choose(letter.id, box.checked) });
    return h('li', {},
      box,
      h('div', { class: 'letter' },
        h('p', { class: 'line' }, letter.job && letter.index !== undefined ? h('a', { href: link.picture(letter.batch, letter.index) }, letter.job) : h('span', {}, name),
          h('span', { class: 'tag bad' }, letter.error.type)),
        h('p', { class: 'error' }, sentence(letter.error.message || letter.reason || 'it does not say why')),
        letter.prompt && h('p', { class: 'prompt' }, letter.prompt),
        h('p', { class: 'hint' }, [letter.model, letter.attempts ? plural(letter.attempts, 'start') : '', clock(letter.at)].filter(Boolean).join(' · '))),
      h('button', { type: 'button', class: 'button do', 'aria-label': `Requeue ${name}`, onclick: () => this.requeue([letter.id]) }, 'Requeue'));
  }

  choose(id, chosen) {
    if (chosen) this.#chosen.add(id);
    else this.#chosen.delete(id);
    this.show();
  }

  chooseAll(chosen) {
    this.#chosen = new Set(chosen ? this.#letters.keys() : []);
    this.show();
  }

  async requeue(ids) {
    const one = ids.length === 1 && this.#letters.get(ids[0]);
    if (!await confirm({
      title: one ? `Requeue ${one.job || 'this letter'}?` : `Requeue ${plural(ids.length, 'job')}?`, yes: 'Requeue', no: 'No',
      detail: 'Back into the queue, with the same index and seed and with all its starts before it. A job that is not valid ends here again.',
    })) return;
    attribute(this.requeueChosen, 'disabled', true);
    const answer = await attempt(() => post('/api/dead/requeue', { ids }));
    if (answer) {
      toast(`${plural(answer.requeued, 'job')} went back into the queue`);
      this.#chosen.clear();
      this.heading.focus(); // the button that had the focus goes with its letter
    }
    await this.missed();
  }

  land() {}

  close() {
    this.#end.abort();
    clearTimeout(this.#again);
  }
}
