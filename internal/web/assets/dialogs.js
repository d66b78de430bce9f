// Dialogs: the browser's own, which keep the focus inside and the rest of the page out of reach.
import { h } from './dom.js';
import { place } from './notify.js';

// show opens a dialog, and gives the focus back when it is closed, unless closed says that it went elsewhere. One that
// holds nothing that could be lost is closed by a click beside it, too.
export function show(dialog, closed = () => false, holdsNothing = true) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener('close', () => {
    place();
    dialog.remove();
    if (!closed() && before?.isConnected) before.focus();
  });
  if (holdsNothing) dialog.addEventListener('pointerdown', (event) => event.target === dialog && dialog.close());
  dialog.showModal();
  place();
}

// confirm asks before something that cannot be taken back. It resolves to whether the answer was yes.
export function confirm({ title, detail, yes, no = 'No, keep it', danger = false }) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { class: 'confirm', role: 'alertdialog', 'aria-labelledby': 'confirm-title', 'aria-describedby': 'confirm-detail' },
      h('form', { method: 'dialog' },
        h('h2', { id: 'confirm-title' }, title),
        h('p', { id: 'confirm-detail' }, detail),
        h('div', { class: 'actions' },
          h('button', { class: 'button', value: 'no', autofocus: true }, no),
          h('button', { class: danger ? 'button danger' : 'button primary', value: 'yes' }, yes))));
    show(dialog, () => {
      resolve(dialog.returnValue === 'yes');
      return false;
    });
  });
}
