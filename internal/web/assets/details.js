// A picture, or a job that has none: all that is known of it, in a dialog.
import { get, path, post } from './api.js';
import { copy, copyButton } from './copy.js';
import { confirm, show } from './dialogs.js';
import { h, local, text } from './dom.js';
import { bytes, clock, count, plural, since } from './format.js';
import { announce, attempt, sentence, toast } from './notify.js';
import { link } from './route.js';
import { waterfall } from './waterfall.js';

const lookAgain = 2000; // ms, while the job is not done
const enlarged = 4; // times, at most

// Details is the dialog. around(picture) says what lies next to it, move goes there, closed is told when it is shut,
// reuse opens the form with the job's fields, state is the newest snapshot.
export class Details {
  #asked = new AbortController();
  #timer = 0;

  constructor({ around, move, closed, reuse, state }) {
    Object.assign(this, { around, move, reuse, state });
    this.title = h('h2', { id: 'details-title', tabindex: '-1' });
    this.where = h('p', { class: 'hint' });
    const step = (name, key, sign, to) => h('button', { type: 'button', class: 'button plain', 'aria-label': name, title: `${name} (${key})`, onclick: () => this.step(to) }, sign);
    this.previous = step('Previous picture', 'left arrow', '←', 'before');
    this.next = step('Next picture', 'right arrow', '→', 'after');
    this.body = h('div', { class: 'body' });
    this.dialog = h('dialog', { class: 'details', 'aria-labelledby': 'details-title', onkeydown: (event) => this.#key(event) },
      h('header', {}, h('div', { class: 'title' }, this.title, this.where), this.previous, this.next,
        h('button', { type: 'button', class: 'button plain', 'aria-label': 'Copy link to this picture', title: 'Copy link to this picture', onclick: () => copy(location.href, 'the link') },
          h('span', { class: 'long' }, 'Copy '), 'link'),
        h('button', { type: 'button', class: 'button plain', 'aria-label': 'Close', title: 'Close (Escape)', onclick: () => this.dialog.close() }, '×')),
      this.body);
    show(this.dialog, () => {
      this.#asked.abort();
      clearTimeout(this.#timer);
      return closed(this.picture);
    });
  }

  // open shows a picture, whether or not another was shown before.
  open(picture) {
    this.picture = picture;
    this.id = `${picture.batch}/${picture.index}`;
    this.neighbours = this.around(picture);
    const { place, of, before, after, item } = this.neighbours;
    text(this.title, this.id);
    text(this.where, of ? `${count(place + 1)} of ${count(of)}` : '');
    this.previous.disabled = !before;
    this.next.disabled = !after;
    this.dialog.dataset.job = this.id;
    this.body.replaceChildren(this.#frame(item?.src, item?.prompt, item), h('div', { class: 'facts', 'aria-busy': 'true' }, h('p', { class: 'hint' }, 'asking the queue …')));
    this.title.focus();
    this.ask();
  }

  // landed is told of pictures that have come: one may be this.
  landed(images) {
    if (images.some((item) => item.batch === this.picture.batch && item.index === this.picture.index)) this.ask();
  }

  async ask() {
    this.#asked.abort();
    clearTimeout(this.#timer);
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    const id = this.id;
    try {
      const answer = await get(path.job(this.picture.batch, this.picture.index), signal);
      if (signal.aborted) return;
      this.#fill(answer);
      const { status } = answer.ledger;
      if (this.told !== `${id} ${status}`) announce(`${id}: ${status}`);
      this.told = `${id} ${status}`;
      if (!answer.result) this.#timer = setTimeout(() => this.ask(), lookAgain);
    } catch (error) {
      if (signal.aborted) return;
      this.body.lastElementChild.replaceChildren(h('p', { class: 'bad' }, sentence(error.message)),
        h('button', { type: 'button', class: 'button', onclick: () => this.ask() }, 'Try again'));
      this.body.lastElementChild.removeAttribute('aria-busy');
    }
  }

  #frame(src, prompt, item) {
    const from = local(src);
    if (!from) return h('div', { class: 'frame none' }, h('p', {}, item && item.status !== 'succeeded' ? item.status : 'no picture yet'));
    const image = h('img', { src: from, alt: prompt || `picture ${this.id}`, decoding: 'async' });
    image.addEventListener('error', () => image.replaceWith(h('p', {}, 'The picture is not in the store, or the store is away. One that is gone is drawn again by ',
      h('code', {}, `enqueue retry ${this.picture.batch} --missing --file ROWS`))));
    image.addEventListener('load', () => {
      // A small picture is shown larger, but not so large that it is all blur.
      const { naturalWidth: width, naturalHeight: height } = image;
      image.style.width = `min(${width * enlarged}px, 100cqw, ${(100 * width) / height}cqh)`;
      // What comes next is fetched while this one is looked at.
      this.#ahead();
    }, { once: true });
    return h('div', { class: 'frame' }, image);
  }

  #ahead() {
    for (const next of [this.neighbours.after, this.neighbours.before]) {
      const from = next && local(this.around(next).item?.src);
      if (from) new Image().src = from;
    }
  }

  #fill(answer) {
    const { job, result, ledger: known } = answer;
    const item = answer.images?.[0];
    const frame = this.body.firstElementChild;
    const src = local(item?.src);
    // The same picture is not loaded twice.
    if (src ? frame.querySelector('img')?.getAttribute('src') !== src : frame.matches('.none')) {
      frame.replaceWith(this.#frame(src, job?.prompt, { status: known.status }));
    } else if (job?.prompt && frame.querySelector('img')) frame.querySelector('img').alt = job.prompt;
    const open = this.body.querySelector('details')?.open;
    const facts = h('div', { class: 'facts' },
      this.#standing(answer),
      job?.prompt ? h('p', { class: 'prompt' }, job.prompt) : h('p', { class: 'hint' }, 'The prompt is not known: it is read from the queue or the picture, and neither has it.'),
      job?.negative_prompt && h('p', { class: 'negative' }, h('span', { class: 'label' }, 'not: '), job.negative_prompt),
      result?.prompt_truncated && h('p', { class: 'warn' }, 'The prompt is longer than the model reads; its end was cut off.'),
      this.#actions(answer),
      parameters(answer, this.state().models),
      known.ledger && waterfall(known.ledger),
      this.#record(answer, open),
      known.notes?.length > 0 && h('ul', { class: 'notes' }, known.notes.map((note) => h('li', {}, sentence(note)))));
    const old = this.body.lastElementChild;
    // Filled again while it is looked at: the button with the focus keeps it.
    const focused = [...old.querySelectorAll('button')].indexOf(document.activeElement);
    const scrolled = old.scrollTop;
    old.replaceWith(facts);
    facts.scrollTop = scrolled;
    if (focused >= 0) facts.querySelectorAll('button')[focused]?.focus();
  }

  #standing(answer) {
    const { status, why, error, queue: place } = answer.ledger;
    if (status === 'succeeded') return null;
    const words = [];
    if (place?.state === 'waiting') words.push(place.ahead > 0 ? `about ${plural(place.ahead, 'job')} come before it` : 'it is next');
    if (place?.paused_until) words.push('its model is paused');
    if (place?.worker) words.push(`step ${place.step} of ${place.steps} on ${place.worker}`);
    if (place?.published) words.push(`sent ${since(place.published)} ago`);
    return h('div', { class: `standing ${error ? 'bad' : ''}` },
      h('p', {}, h('strong', {}, sentence(status)), why && `: ${why}`),
      words.length > 0 && h('p', { class: 'hint' }, words.join(' · ')),
      error && h('p', {}, h('code', {}, error.type), ' ', error.message),
      place?.last_error && h('p', {}, `after ${plural(place.starts, 'start')}: `, h('code', {}, place.last_error.type), ' ', place.last_error.message));
  }

  #actions(answer) {
    const write = !this.state().read_only;
    const { status } = answer.ledger;
    const running = ['waiting', 'running'].includes(status);
    const again = ['failed', 'cancelled', 'expired'].includes(status);
    return h('div', { class: 'actions' },
      answer.command && copyButton('Copy as command', 'the command', () => answer.command, 'primary'),
      write && answer.job && h('button', { type: 'button', class: 'button', onclick: () => this.reuse(answer.job) }, 'Use these settings'),
      write && running && h('button', { type: 'button', class: 'button', onclick: () => this.#cancel() }, 'Cancel this job'),
      write && again && h('button', { type: 'button', class: 'button', onclick: () => this.#retry() }, 'Retry this job'));
  }

  async #cancel() {
    if (!await confirm({ title: `Cancel ${this.id}?`, detail: 'It will not be drawn. If it runs, it stops at its next step.', yes: 'Cancel the job', danger: true })) return;
    const answer = await attempt(() => post(`${path.job(this.picture.batch, this.picture.index)}/cancel`));
    if (answer) toast(answer.cancelled ? `Cancelled ${this.id}` : `${this.id} was done already`);
    this.ask();
  }

  async #retry() {
    if (!await confirm({ title: `Retry ${this.id}?`, detail: 'It goes back into the queue, with the same index and seed.', yes: 'Retry', no: 'No' })) return;
    const answer = await attempt(() => post(`${path.job(this.picture.batch, this.picture.index)}/retry`));
    if (answer) toast(answer.jobs ? `${this.id} went back into the queue` : `${this.id} is in the queue already`);
    this.ask();
  }

  #record({ result, trace_id, ledger: known }, open) {
    const { image } = known;
    const rows = [
      ['trace', trace_id, true], ['job', this.id, true],
      ['stored as', image && `${image.bucket}/${image.key}`, true],
      ['size of the file', image?.size && bytes(image.size)],
      ['pixels SHA-256', image?.pixels_sha256, true],
      ['model digest', known.model_digest, true],
      ['worker', known.worker], ['attempt', known.attempt], ['retry', result?.retry || null],
    ].filter(([, value]) => value);
    if (!rows.length) return null;
    return h('details', { class: 'record', open: open ?? true },
      h('summary', {}, 'Record'),
      h('dl', {}, rows.map(([name, value, copied]) => h('div', {}, h('dt', {}, name),
        h('dd', {}, h('code', {}, String(value)),
          copied && h('button', { type: 'button', class: 'button plain', 'aria-label': `Copy ${name}`, onclick: () => copy(String(value), name) }, 'copy'))))));
  }

  step(to) {
    const next = this.neighbours[to];
    if (next) this.move(link.picture(next.batch, next.index));
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target.matches('input, textarea, select')) return;
    const to = { ArrowLeft: 'before', ArrowRight: 'after' }[event.key];
    if (!to) return;
    event.preventDefault();
    this.step(to);
  }
}

// parameters lists what the picture was drawn with. What the job leaves out is the model's own: as the file says, or as
// the model is registered.
function parameters({ job, ledger: known, images }, models) {
  const model = known.model ?? job?.model;
  const settings = known.settings ?? {};
  const own = (job && models.find((one) => one.name === model)?.defaults) ?? {};
  const size = known.image;
  const rows = [
    ['model', model],
    ['seed', known.seed ?? job?.seed],
    ['size', size?.width ? `${size.width} × ${size.height}` : job?.width && `${job.width} × ${job.height}`],
    ['steps', job?.num_inference_steps ?? settings.Steps ?? own.num_inference_steps],
    ['guidance', job?.guidance_scale ?? settings['CFG scale'] ?? own.guidance_scale],
    ['scheduler', job?.scheduler ?? settings.Sampler ?? own.scheduler],
    ['format', job && [job.format ?? 'png', job.quality].filter(Boolean).join(' ')],
    ['deadline', clock(job?.deadline)],
    ['landed', clock(images?.[0]?.at)],
  ].filter(([, value]) => value !== undefined && value !== null && value !== '');
  return h('dl', { class: 'parameters' }, rows.map(([name, value]) => h('div', { class: String(value).length > 10 ? 'wide' : null }, h('dt', {}, name), h('dd', {}, String(value)))));
}
