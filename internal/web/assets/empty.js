// What stands where nothing is yet: how to get something there.
import { h } from './dom.js';
import { command } from './copy.js';

// noPictures teaches the first steps: those that are still to do.
export function noPictures(state) {
  const steps = [];
  if (!state.workers.some((worker) => !worker.gone)) {
    steps.push(['Start a worker', 'It finds the queue at NATS_URL and the store at AWS_ENDPOINT_URL.',
      'MODELS=models/tiny-emoji S3_BUCKET=images bin/worker']);
  }
  steps.push(['Ask for pictures', state.read_only ? 'From any shell that reaches the queue:' : 'From any shell that reaches the queue, or with “New pictures” above:',
    'bin/enqueue "a red apple on a blue background" --seeds 1..8']);
  return h('div', { class: 'empty' },
    h('h2', {}, 'No pictures yet'),
    h('p', {}, 'They appear here by themselves, as they land in the store.'),
    h('ol', {}, steps.map(([title, why, line]) => h('li', {}, h('h3', {}, title), h('p', { class: 'hint' }, why), command(line)))));
}

// noBatch is shown for a batch that there is not.
export function noBatch(batch) {
  return h('div', { class: 'empty' },
    h('h2', {}, 'No such batch'),
    h('p', {}, 'The queue knows no batch ', h('code', {}, batch), '. Batches that it knows are printed by:'),
    command('bin/enqueue status'));
}

// noDead is shown when no dead letter is there.
export function noDead() {
  return h('div', { class: 'empty' },
    h('h2', {}, 'No dead letters'),
    h('p', {}, 'A job ends here when it cannot be drawn: its fields make no sense, or it has failed five times. It waits for 30 days, with the reason, and can be put back into the queue.'),
    h('p', { class: 'hint' }, 'In a terminal:'), command('bin/enqueue dlq list'));
}
