// Where a picture's time went: a bar for each part, one after the other, on one scale. It is a table, so that it reads
// as one, too.
import { h } from './dom.js';
import { millis, number } from './format.js';

const names = {
  queue: 'in the queue', wait: 'waiting for rows', text_encode: 'text encoder', denoise: 'denoising',
  decode: 'VAE decoder', image_encode: 'image file', upload: 'upload', rest: 'other',
};

// longestQueue is how much of the width the time before may take, which can be hours.
const longestQueue = 0.3;

// waterfall draws a ledger as `enqueue explain --json` prints it.
export function waterfall(ledger) {
  const total = Math.max(ledger.total_ms, 0.001);
  const queue = Math.max(ledger.queue_ms ?? 0, 0);
  const most = (total * longestQueue) / (1 - longestQueue);
  const shown = Math.min(queue, most);
  const scale = 100 / (shown + total);
  let at = shown;
  const rows = [];
  if (queue > 0) rows.push(row({ name: 'queue', ms: queue }, 0, shown * scale, 0, queue > most));
  const parts = [...ledger.parts];
  if (ledger.rest_ms > 0) parts.push({ name: 'rest', ms: ledger.rest_ms, own_ms: 0 });
  for (const part of parts) {
    rows.push(row(part, at * scale, part.ms * scale, part.ms > 0 ? part.own_ms / part.ms : 0));
    at += part.ms;
  }
  const share = (100 * ledger.own_ms) / total;
  return h('section', { class: 'ledger', 'aria-labelledby': 'ledger-title' },
    h('h3', { id: 'ledger-title' }, 'Where the time went'),
    h('p', { class: 'hint' }, `${millis(total)} in the worker, ${millis(ledger.own_ms)} of it (${number(Math.round(share))} %) for this picture alone`,
      ledger.rows_mean > 0 ? `; its rows rode in calls of ${number(Math.round(ledger.rows_mean * 10) / 10)}` : '',
      ledger.balanced === false ? '. The parts do not sum to the whole: the record is not to be trusted' : ''),
    h('table', {},
      h('caption', { class: 'unseen' }, 'Parts of the time, in order'),
      h('thead', {}, h('tr', {}, ['part', 'when', 'time'].map((name) => h('th', { scope: 'col' }, h('span', { class: 'unseen' }, name))))),
      h('tbody', {}, rows)));
}

function row(part, left, width, own, shortened = false) {
  const bar = h('span', { class: shortened ? 'bar shortened' : 'bar', 'data-part': part.name });
  bar.style.left = `${left}%`;
  bar.style.width = `${width}%`;
  if (own > 0 && own < 0.995) {
    const mine = h('span');
    mine.style.width = `${own * 100}%`;
    bar.append(mine);
    bar.classList.add('shared');
  }
  const alone = own > 0 && own < 0.995 ? `${millis(part.own_ms)} of it for this picture alone` : '';
  return h('tr', { title: alone || null },
    h('th', { scope: 'row' }, names[part.name] ?? part.name),
    h('td', { class: 'track', 'aria-hidden': 'true' }, bar),
    h('td', { class: 'took' }, millis(part.ms), alone && h('span', { class: 'unseen' }, `, ${alone}`)));
}
