// What is wrong, and the mend: a banner on top of everything, as long as it is.
import { find, h, keyed, text } from './dom.js';
import { clock, since } from './format.js';
import { announce, sentence } from './notify.js';

let before = new Map(); // what was wrong the last time

// showProblems shows what the server finds wrong and, before all else, that it cannot be heard. lost is when its last
// word was, null while it is there.
export function showProblems(problems, lost) {
  const all = problems.map((problem) => ({ ...problem, key: problem.what }));
  if (lost) {
    all.unshift({
      key: 'connection', since: new Date(lost.since).toISOString(), what: 'the connection to the server of this page is lost',
      mend: `What you see is of ${lost.at ? clock(lost.at) : 'before'}. It is tried again every second; if it stays away, see that enqueue serve still runs.`,
    });
  }
  find('problems').hidden = !all.length;
  keyed(find('problem-list'), all, (problem) => problem.key,
    () => h('li', {}, h('strong'), h('span', { class: 'mend' }), h('span', { class: 'since' })),
    (element, problem) => {
      text(element.children[0], sentence(problem.what));
      text(element.children[1], sentence(problem.mend ?? ''));
      text(element.children[2], problem.since ? `for ${since(problem.since)}` : '');
    });
  const now = new Map(all.map((problem) => [problem.key, problem]));
  const fresh = all.filter((problem) => !before.has(problem.key));
  if (fresh.length) announce(fresh.map((problem) => `${problem.what}. ${problem.mend ?? ''}`).join(' '), true);
  const mended = [...before.values()].filter((problem) => !now.has(problem.key));
  if (mended.length && !fresh.length) announce(mended.map((problem) => `No more: ${problem.what}`).join('. '));
  before = now;
}
