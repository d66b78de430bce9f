// The form for a picture, or for a grid: fields that are given several values make one picture of each combination.
import { post } from './api.js';
import { show } from './dialogs.js';
import { attribute, h, text } from './dom.js';
import { count, plural } from './format.js';
import { sentence, toast } from './notify.js';
import { go, link } from './route.js';
import { Wrong, integers, lines, numbers, seeds } from './values.js';

// Limits that hold for every model.
const mostSteps = 1000;
const mostGuidance = 50;
const mostPrompt = 16 << 10; // bytes
const axes = ['x', 'y', 'z'];

let fields = 0; // made so far; gives each an id of its own

// field is a labelled control with a hint and a place for what is wrong with it.
function field(label, control, hint = '') {
  const id = `field-${++fields}`;
  const told = h('p', { class: 'hint', id: `${id}-hint` }, hint);
  const wrong = h('p', { class: 'wrong', id: `${id}-wrong` });
  control.id = id;
  control.name = label.toLowerCase().replace(' ', '_');
  attribute(control, 'aria-describedby', `${id}-hint ${id}-wrong`);
  return {
    control, told,
    element: h('div', { class: 'field' }, h('label', { for: id }, label), control, told, wrong),
    blame(message) {
      text(wrong, message);
      attribute(control, 'aria-invalid', message ? 'true' : null);
    },
  };
}

const line = (props = {}) => h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', ...props });

// Form is the dialog. preset is a job whose fields it begins with, closed is told when it is shut.
export class Form {
  constructor({ state, preset = null, closed }) {
    this.state = state;
    this.preset = preset;
    const models = state.models.map((model) => h('option', { value: model.name }, model.name));
    this.model = field('Model', h('select', { required: true }, models));
    this.prompt = field('Prompt', h('textarea', { rows: 3, autofocus: true, required: true, enterkeyhint: 'enter' }), 'One a line: each line is a picture of its own.');
    this.negative = field('Negative prompt', h('textarea', { rows: 2 }), 'What it should not show.');
    this.seed = field('Seeds', line({ placeholder: 'drawn from the job' }), '7, or 1..4, or 1, 5, 9');
    this.steps = field('Steps', line({ inputmode: 'text' }));
    this.guidance = field('Guidance', line());
    this.width = field('Width', line({ inputmode: 'numeric' }));
    this.height = field('Height', line({ inputmode: 'numeric' }));
    this.format = field('Format', h('select', {}, ['png', 'jpeg', 'webp'].map((name) => h('option', {}, name))));
    this.quality = field('Quality', line({ inputmode: 'numeric', placeholder: '90' }), 'of jpeg and webp, 1 to 100');
    this.priority = field('Priority', h('select', {}, ['high', 'normal', 'low'].map((name) => h('option', { selected: name === 'normal' }, name))));
    this.batch = field('Batch', line({ maxlength: 64, placeholder: 'a name is drawn' }), 'A–Z a–z 0–9 _ -');
    this.schedulers = state.schedulers.map((name) => h('input', { type: 'checkbox', value: name }));
    this.scheduler = h('details', { class: 'schedulers' }, h('summary'),
      h('div', { class: 'chips' }, this.schedulers.map((box) => h('label', {}, box, h('span', {}, box.value)))));
    this.total = h('p', { class: 'total', 'aria-live': 'polite' });
    this.problem = h('p', { class: 'wrong', role: 'alert' });
    this.send = h('button', { class: 'button primary' }, 'Draw');
    this.form = h('form', { novalidate: true, onsubmit: (event) => this.submit(event), oninput: () => this.count() },
      this.prompt.element, this.negative.element,
      h('div', { class: 'row' }, this.model.element, this.seed.element, this.steps.element, this.guidance.element),
      this.scheduler,
      h('div', { class: 'row' }, this.width.element, this.height.element, this.format.element, this.quality.element, this.priority.element, this.batch.element),
      this.problem,
      h('footer', {}, this.total, h('button', { type: 'button', class: 'button', onclick: () => this.dialog.close() }, 'Close'), this.send));
    this.dialog = h('dialog', { class: 'order', 'aria-labelledby': 'order-title' },
      h('header', {}, h('h2', { id: 'order-title' }, 'New pictures'),
        h('button', { type: 'button', class: 'button plain', 'aria-label': 'Close', onclick: () => this.dialog.close() }, '×')),
      state.models.length ? this.form : h('p', { class: 'empty' }, 'No model is known yet. The first worker that serves one tells its name, defaults and limits; start one, and open this again.'));
    this.model.control.addEventListener('change', () => this.defaults());
    this.form.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    if (preset) this.fill(preset);
    this.defaults();
    show(this.dialog, closed, false);
  }

  // fill puts a job's fields into the form.
  fill(job) {
    const set = (one, value) => {
      if (value !== undefined && value !== null) one.control.value = String(value);
    };
    if (this.state.models.some((model) => model.name === job.model)) set(this.model, job.model);
    // A prompt of several lines is one prompt: it stays one by standing on one line.
    set(this.prompt, job.prompt?.replace(/\s*\n\s*/g, ' '));
    set(this.negative, job.negative_prompt);
    set(this.seed, job.seed);
    set(this.steps, job.num_inference_steps);
    set(this.guidance, job.guidance_scale);
    set(this.width, job.width);
    set(this.height, job.height);
    set(this.format, job.format);
    set(this.quality, job.quality);
    for (const box of this.schedulers) box.checked = box.value === job.scheduler;
    this.scheduler.open = Boolean(job.scheduler);
  }

  // defaults shows what the chosen model takes for a field that is left empty, and its limits.
  defaults() {
    const model = this.state.models.find((one) => one.name === this.model.control.value);
    if (!model) return;
    const own = model.defaults ?? {};
    const limits = model.limits ?? {};
    const hold = (one, value) => attribute(one.control, 'placeholder', value === undefined ? '' : String(value));
    hold(this.steps, own.num_inference_steps);
    hold(this.guidance, own.guidance_scale);
    hold(this.width, own.width ?? model.width);
    hold(this.height, own.height ?? model.height);
    this.limits = { unit: limits.size_multiple || 8, width: limits.max_width || 16384, height: limits.max_height || 16384, own: own.scheduler };
    text(this.steps.told, `1 to ${mostSteps}, or several`);
    text(this.guidance.told, `0 to ${mostGuidance}, or several; up to 1 is none`);
    text(this.width.told, `by ${this.limits.unit}, to ${this.limits.width}`);
    text(this.height.told, `by ${this.limits.unit}, to ${this.limits.height}`);
    this.count();
  }

  // read reads all fields: those with one value for the job, those with several for the axes. It is null when something
  // is wrong, which then stands beside the field.
  read() {
    const job = { model: this.model.control.value };
    const several = [];
    let whole = true;
    const take = (one, name, parse) => {
      try {
        const values = parse(one.control.value);
        one.blame('');
        if (values.length === 1) [job[name]] = values;
        if (values.length > 1) several.push({ field: name, values });
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        one.blame(sentence(error.message));
        whole = false;
      }
    };
    take(this.seed, 'seed', seeds);
    take(this.prompt, 'prompt', prompts);
    take(this.guidance, 'guidance_scale', (value) => numbers(value, 0, mostGuidance));
    take(this.steps, 'num_inference_steps', (value) => integers(value, 1, mostSteps));
    const chosen = this.schedulers.filter((box) => box.checked).map((box) => box.value);
    if (chosen.length === 1) [job.scheduler] = chosen;
    if (chosen.length > 1) several.push({ field: 'scheduler', values: chosen });
    text(this.scheduler.firstElementChild, chosen.length ? `Scheduler: ${chosen.join(', ')}` : `Scheduler: the model's own${this.limits.own ? ` (${this.limits.own})` : ''}`);
    for (const [one, name] of [[this.width, 'width'], [this.height, 'height']]) take(one, name, (value) => this.size(value, this.limits[name]));
    take(this.quality, 'quality', (value) => single(integers(value, 1, 100)));
    const negative = this.negative.control.value.trim();
    if (negative) job.negative_prompt = negative;
    if (this.format.control.value !== 'png') job.format = this.format.control.value;
    const batch = this.batch.control.value.trim();
    const named = /^[A-Za-z0-9_-]{0,64}$/.test(batch);
    this.batch.blame(named ? '' : 'Letters, digits, _ and - alone');
    text(this.problem, several.length > axes.length ? `A grid has three axes, and ${several.length} fields have several values: ${several.map((axis) => axis.field).join(', ')}` : '');
    if (!whole || !named || several.length > axes.length) return null;
    return { job, several, batch, priority: this.priority.control.value };
  }

  size(value, most) {
    const values = single(integers(value, 8, most));
    if (values.some((n) => n % this.limits.unit)) throw new Wrong(`must be a multiple of ${this.limits.unit}`);
    return values;
  }

  // count says how many pictures it would be.
  count() {
    const order = this.read();
    const jobs = order ? order.several.reduce((all, axis) => all * axis.values.length, 1) : 0;
    const terms = order?.several.map((axis) => `${count(axis.values.length)} ${axis.field.replace('num_inference_', '')}`) ?? [];
    text(this.total, order && (order.job.prompt || terms.some((term) => term.endsWith('prompt'))) ? [plural(jobs, 'picture'), terms.length > 1 && terms.join(' × ')].filter(Boolean).join(': ') : '');
    text(this.send, jobs > 1 ? `Draw ${count(jobs)}` : 'Draw');
    return order;
  }

  async submit(event) {
    event.preventDefault();
    const order = this.count();
    if (order && !order.job.prompt && !order.several.some((axis) => axis.field === 'prompt')) {
      this.prompt.blame('Say what to draw');
      this.prompt.control.focus();
      return;
    }
    if (!order) {
      this.form.querySelector('[aria-invalid]')?.focus();
      return;
    }
    const { job, several, priority } = order;
    // Sent once more, as after an answer that was lost, an order is the same batch: what is in the queue is not drawn twice.
    const words = JSON.stringify(order);
    if (this.sent?.words !== words) this.sent = { words, batch: order.batch || drawn() };
    const { batch } = this.sent;
    this.send.disabled = true;
    try {
      const answer = several.length
        ? await post('/api/grids', { job, axes: Object.fromEntries(several.map((axis, i) => [axes[i], axis])), priority, batch })
        : await post('/api/jobs', { jobs: [job], priority, batch });
      go(link.batch(answer.batch), true);
      this.dialog.close();
      toast(`Sent ${plural(answer.total, 'job')} as batch ${answer.batch}`);
    } catch (error) {
      text(this.problem, sentence(error.message));
    } finally {
      this.send.disabled = false;
    }
  }
}

// drawn is an id for a batch, as enqueue draws one: the time, and what no other has.
function drawn() {
  const time = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15); // such as 20260102-150405
  const own = [...crypto.getRandomValues(new Uint8Array(8))].map((n) => 'abcdefghijklmnopqrstuvwxyz234567'[n % 32]);
  return `${time}-${own.join('')}`;
}

function prompts(value) {
  const all = lines(value);
  const long = all.find((one) => new TextEncoder().encode(one).length > mostPrompt);
  if (long) throw new Wrong('a prompt is longer than 16 KiB');
  return all;
}

function single(values) {
  if (values.length > 1) throw new Wrong('one value alone');
  return values;
}
