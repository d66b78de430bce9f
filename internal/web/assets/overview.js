// The side of the page: how much waits, which batches there are, what the queue holds, what the workers do.
import { post, path } from './api.js';
import { attribute, find, h, keyed, text } from './dom.js';
import { count, plural, rate, short, since } from './format.js';
import { attempt, toast } from './notify.js';
import { facts, left, progressBar, rowsBar, showProgress, showRows, standing } from './progress.js';
import { link } from './route.js';

const remembered = 120; // seconds that the small curve shows
const curve = [];

const sum = (items, of) => items.reduce((all, item) => all + (of(item) || 0), 0);

// showOverview draws the state's figures, batches, queue and workers. place is where the reader is.
export function showOverview(state, place) {
  showFigures(state);
  showBatches(state.batches, place);
  showQueue(state.queues, state.read_only);
  showWorkers(state.workers);
  text(find('about'), [`stipple ${state.version ?? ''}`.trim(), state.read_only ? 'read-only: start it with --write to submit, cancel and requeue from here' : ''].filter(Boolean).join(' · '));
  const dead = find('dead-count');
  dead.hidden = !state.dead.count;
  text(dead, short(state.dead.count));
  attribute(dead, 'aria-label', `: ${count(state.dead.count)}`);
}

// sample remembers how fast pictures come; app.js calls it once a second.
export function sample(state) {
  curve.push(speed(state));
  if (curve.length > remembered) curve.shift();
  const most = Math.max(...curve, 1e-9);
  const points = curve.map((y, i) => `${remembered - curve.length + i},${(15.5 - (14 * y) / most).toFixed(2)}`);
  attribute(find('curve'), 'points', points.join(' '));
}

const speed = (state) => sum(state.batches.filter((batch) => !batch.done), (batch) => batch.images_per_s);

function showFigures(state) {
  const alive = state.workers.filter((worker) => !worker.gone);
  const figures = [
    { id: 'waiting', name: 'waiting', value: short(sum(state.queues, (queue) => queue.waiting)) },
    { id: 'running', name: 'running', value: short(sum(state.queues, (queue) => queue.running)) },
    { id: 'speed', name: 'pictures', value: rate(speed(state)) },
    { id: 'alive', name: alive.length === 1 ? 'worker' : 'workers', value: count(alive.length) },
  ];
  keyed(find('figures'), figures, (figure) => figure.id,
    () => h('div', {}, h('dt'), h('dd')),
    (element, figure) => {
      text(element.children[0], figure.name);
      text(element.children[1], figure.value);
    });
}

const few = 5; // batches listed, until all are asked for
let all = false;

function showBatches(batches, place) {
  find('no-batches').hidden = batches.length > 0;
  const more = find('more-batches');
  more.hidden = batches.length <= few;
  text(more, all ? 'Fewer batches' : `All ${count(batches.length)} batches`);
  more.onclick = () => {
    all = !all;
    showBatches(batches, place);
  };
  const listed = batches.filter((batch, i) => all || i < few || batch.id === place.batch);
  keyed(find('batches'), listed, (batch) => batch.id,
    (batch) => h('li', {}, h('a', { href: link.batch(batch.id) },
      h('span', { class: 'line' }, h('span', { class: 'name' }, batch.id), h('span', { class: 'hint' })),
      progressBar(batch.id), h('span', { class: 'hint' }))),
    (element, batch) => {
      const [line, bar, hint] = element.firstElementChild.children;
      text(line.children[1], left(batch));
      showProgress(bar, batch);
      text(hint, standing(batch));
      attribute(element.firstElementChild, 'aria-current', place.batch === batch.id ? 'page' : null);
      attribute(element, 'class', batch.done ? 'done' : null);
    });
}

const priorities = ['high', 'normal', 'low'];

function showQueue(queues, readOnly) {
  const models = [...new Set(queues.map((queue) => queue.model))].map((model) => {
    const mine = queues.filter((queue) => queue.model === model);
    const waiting = Object.fromEntries(mine.map((queue) => [queue.priority, queue.waiting]));
    return { model, waiting, running: sum(mine, (queue) => queue.running), paused: mine.some((queue) => queue.paused) };
  });
  const host = find('queue');
  if (!models.length) {
    if (!host.querySelector('.hint')) host.replaceChildren(h('p', { class: 'hint' }, 'Empty: nothing waits, nothing runs.'));
    return;
  }
  if (!host.querySelector('table')) {
    host.replaceChildren(h('table', { class: 'queue' },
      h('caption', { class: 'unseen' }, 'Jobs that wait, by model and priority, and jobs that run'),
      h('thead', {}, h('tr', {}, ['model', ...priorities, 'runs'].map((name) => h('th', { scope: 'col' }, name)), h('td'))),
      h('tbody')));
  }
  keyed(host.querySelector('tbody'), models, (row) => row.model,
    (row) => h('tr', {}, h('th', { scope: 'row' }, h('span', { class: 'name' }), h('span', { class: 'warn' }, 'paused')),
      priorities.map(() => h('td')), h('td'),
      h('td', {}, h('button', { type: 'button', class: 'button plain pause', onclick: (event) => pause(row.model, event.currentTarget) }))),
    (element, row) => {
      const [name, paused] = element.firstElementChild.children;
      text(name, row.model);
      attribute(name, 'title', row.model);
      paused.hidden = !row.paused;
      const button = element.querySelector('button');
      button.hidden = readOnly;
      button.dataset.do = row.paused ? 'resume' : 'pause';
      text(button, row.paused ? '▶' : '❙❙');
      const label = `${row.paused ? 'Resume' : 'Pause'} ${row.model}`;
      attribute(button, 'aria-label', label);
      attribute(button, 'title', label);
      priorities.forEach((priority, i) => text(element.children[i + 1], row.waiting[priority] ? short(row.waiting[priority]) : '–'));
      text(element.children[4], row.running ? short(row.running) : '–');
    });
}

async function pause(model, button) {
  const what = button.dataset.do;
  if (await attempt(() => post(`${path.model(model)}/${what}`))) {
    toast(what === 'pause' ? `${model} is paused: its jobs wait until it is resumed` : `${model} goes on`);
  }
}

function showWorkers(workers) {
  find('no-workers').hidden = workers.length > 0;
  keyed(find('workers'), workers, (worker) => worker.id,
    () => h('li', {},
      h('div', { class: 'line' }, h('span', { class: 'name' }), h('span', { class: 'state' })),
      rowsBar(), h('p', { class: 'hint' })),
    (element, worker) => {
      const [line, bar, hint] = element.children;
      const is = worker.gone ? 'gone' : worker.state;
      element.dataset.is = is;
      text(line.children[0], worker.id);
      text(line.children[1], is === 'ready' ? rate(worker.steps_per_s).replace('/', ' steps/') : is);
      const most = (worker.max_rows || 0) * (worker.lanes || 1);
      bar.hidden = worker.gone;
      // Of a worker that does not tell how many rows it can have in use, the bar shows its jobs.
      showRows(bar, most ? 'rows in use' : 'jobs held', most ? worker.rows : worker.held, most || worker.slots);
      if (worker.gone) {
        facts(hint, `last heard ${since(worker.seen_at)} ago`, (worker.models ?? []).join(', '));
        return;
      }
      facts(hint, most ? `${worker.rows} of ${plural(most, 'row')}` : plural(worker.rows, 'row'), `${worker.held} of ${plural(worker.slots, 'job')}`,
        (worker.models ?? []).join(', '), [worker.provider, worker.device].filter(Boolean).join(' '));
    });
}
