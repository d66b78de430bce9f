// The page: what the server tells goes to the parts that show it, and the address says which of them are there.
import { BatchView, RecentView } from './pictures.js';
import { DeadView } from './dead.js';
import { Details } from './details.js';
import { Form } from './form.js';
import { attribute, find, text } from './dom.js';
import { plural } from './format.js';
import { live } from './live.js';
import { announce, toast } from './notify.js';
import { sample, showOverview } from './overview.js';
import { showProblems } from './problems.js';
import { go, link, parse } from './route.js';

// What is known before the server has said anything.
let state = { read_only: true, problems: [], queues: [], workers: [], batches: [], dead: { count: 0 }, models: [], schedulers: [] };
let heard = false;
let lost = null; // { since, at }: when the connection went, and of when the state is
let place = { view: 'pictures' }; // what the view shows
let view = null;
let details = null;
let form = null;
let preset = null; // a job for the form

const home = (of) => (of.view === 'batch' ? link.batch(of.batch) : of.view === 'dead' ? link.dead : link.pictures);

// follow shows what the address says. Pictures and the form lie over the view that is there.
function follow() {
  const to = parse(location.hash);
  const under = { picture: { view: 'batch', batch: to.batch }, new: { view: 'pictures' } }[to.view];
  const base = under ? (view ? place : under) : to;
  const pane = base.view === 'overview' ? { view: 'pictures' } : base;
  if (!view || pane.view !== place.view || pane.batch !== place.batch) {
    view?.close();
    place = pane;
    const main = find('main');
    view = place.view === 'dead' ? new DeadView(main, state) : place.view === 'batch' ? new BatchView(main, place.batch, state) : new RecentView(main, state);
    if (heard && !under) view.heading.focus({ preventScroll: true });
  }
  find('layout').dataset.pane = base.view === 'overview' ? 'overview' : 'pictures';
  if (base.view !== 'overview') view.wall?.draw();
  const names = { pictures: 'pictures', batch: place.batch, dead: 'dead letters' };
  document.title = `${to.view === 'picture' ? `${to.batch}/${to.index}` : names[place.view]} · stipple`;
  for (const anchor of document.querySelectorAll('.views a')) {
    const shown = base.view === 'batch' ? 'pictures' : base.view;
    attribute(anchor, 'aria-current', anchor.dataset.view === shown ? 'page' : null);
  }
  overlay(to);
  render();
}

// overlay opens and closes the dialogs that have an address.
function overlay(to) {
  if (to.view !== 'picture') shut(details);
  if (to.view !== 'new') shut(form);
  if (to.view === 'picture') {
    if (!details?.dialog.open) details = null; // it is being shut
    const shown = details ??= new Details({
      around: (picture) => view.around?.(picture) ?? {},
      move: (hash) => go(hash, true),
      closed: (picture) => {
        if (details === shown) details = null; // else the next one is open already
        leave('picture');
        view.focus?.(picture);
        return Boolean(view.focus) && document.activeElement !== document.body;
      },
      reuse: (job) => {
        preset = job;
        go('#/new', true);
      },
      state: () => state,
    });
    details.open({ batch: to.batch, index: to.index });
  }
  if (to.view === 'new' && !form && heard) {
    if (state.read_only) {
      leave('new');
      return;
    }
    form = new Form({ state, preset, closed: () => {
      form = null;
      leave('new');
      return false;
    } });
    preset = null;
  }
}

const shut = (dialog) => dialog?.dialog.open && dialog.dialog.close();

// leave gives the address of the view back when a dialog over it is closed.
function leave(from) {
  if (parse(location.hash).view === from) go(home(place), true);
}

function render() {
  showOverview(state, place);
  showProblems(state.problems, lost);
  const connection = find('connection');
  const troubles = state.problems.length;
  connection.dataset.is = lost ? 'lost' : troubles ? 'troubled' : heard ? 'live' : 'connecting';
  text(connection, lost ? 'connection lost' : troubles ? plural(troubles, 'problem') : heard ? 'live' : 'connecting');
  find('new').hidden = state.read_only;
}

live({
  state(now) {
    const first = !heard;
    const could = !state.read_only;
    if (heard && now.version !== state.version) toast(`The server is ${now.version} now: reload the page to have the one that goes with it`);
    state = now;
    heard = true;
    for (const name of ['problems', 'queues', 'workers', 'batches', 'models', 'schedulers']) state[name] ??= [];
    view.update(state);
    render();
    // The form waits for what the state says of models.
    if (first || could === state.read_only) overlay(parse(location.hash));
  },
  images({ images, missed }) {
    view.land(images);
    details?.landed(images);
    if (missed) view.missed();
  },
  dead() {
    if (view instanceof DeadView) view.missed();
  },
  connection(there, missed) {
    if (there && lost) announce('Connected again');
    lost = there ? null : { since: Date.now(), at: state.at };
    render();
    if (!missed) return;
    view.missed();
    details?.ask();
  },
});

addEventListener('hashchange', follow);
find('skip').addEventListener('click', (event) => {
  event.preventDefault();
  find('main').focus();
});
setInterval(() => {
  if (document.visibilityState === 'hidden') return;
  sample(state);
  render(); // times move on
}, 1000);
follow();
