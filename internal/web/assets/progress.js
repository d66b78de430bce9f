// The bar of a batch: what succeeded, what failed, what was cancelled, of all its jobs.
import { attribute, h, text } from './dom.js';
import { about, count, plural, rate } from './format.js';

const parts = ['succeeded', 'failed', 'cancelled'];

// tally counts a batch's jobs by how they are drawn here: what ended in no picture and was not cancelled has failed.
export function tally(batch) {
  const { total = 0, succeeded = 0, cancelled = 0, pending = 0 } = batch;
  return { succeeded, cancelled, failed: Math.max(0, total - pending - succeeded - cancelled) };
}

export function progressBar(id) {
  return h('div', { class: 'progress', role: 'progressbar', 'aria-label': `progress of ${id}`, 'aria-valuemin': 0 },
    parts.map((part) => h('span', { class: part })));
}

export function showProgress(bar, batch) {
  const counts = tally(batch);
  attribute(bar, 'aria-valuemax', batch.total);
  attribute(bar, 'aria-valuenow', batch.total - batch.pending);
  attribute(bar, 'aria-valuetext', [standing(batch), left(batch)].filter(Boolean).join(' · '));
  parts.forEach((part, i) => {
    bar.children[i].style.width = `${batch.total ? (100 * counts[part]) / batch.total : 0}%`;
  });
}

// left says how long a batch will take, where that is known.
export const left = (batch) => (!batch.done && batch.eta_s > 0 ? `${about(batch.eta_s)} left` : '');

// standing says in a line how far a batch is.
export function standing(batch) {
  const counts = tally(batch);
  const done = batch.total - batch.pending;
  const words = [batch.done ? plural(counts.succeeded, 'picture') : `${count(done)} of ${count(batch.total)}`];
  if (counts.failed) words.push(`${count(counts.failed)} failed`);
  if (counts.cancelled) words.push(`${count(counts.cancelled)} cancelled`);
  if (batch.done) return words.join(' · ');
  if (batch.state === 'enqueuing') words.push('being sent');
  if (batch.images_per_s > 0) words.push(rate(batch.images_per_s));
  return words.join(' · ');
}

// rowsBar shows how much of a worker is in use.
export function rowsBar() {
  return h('div', { class: 'rows', role: 'meter', 'aria-valuemin': 0 }, h('span'));
}

export function showRows(bar, label, used, most) {
  attribute(bar, 'aria-label', label);
  attribute(bar, 'aria-valuemax', most);
  attribute(bar, 'aria-valuenow', used);
  attribute(bar, 'aria-valuetext', `${used} of ${most}`);
  bar.firstElementChild.style.width = `${most ? Math.min(100, (100 * used) / most) : 0}%`;
}

// line is one of a list of small facts, with nothing where there is none.
export function facts(element, ...words) {
  text(element, words.filter(Boolean).join(' · '));
}
