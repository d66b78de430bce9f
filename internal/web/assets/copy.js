// Copying, and commands that are there to be copied.
import { h } from './dom.js';
import { toast } from './notify.js';

// copy puts text on the clipboard. On a page that did not come over HTTPS or from this machine the browser has no
// clipboard to write to, but copies a selection.
export async function copy(text, what) {
  let done = false;
  if (navigator.clipboard) {
    done = await navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  if (!done) {
    const area = h('textarea', { class: 'unseen', readonly: true, 'aria-hidden': 'true' });
    area.value = text;
    (document.querySelector('dialog:modal') ?? document.body).append(area);
    const before = document.activeElement;
    area.select();
    done = document.execCommand('copy');
    area.remove();
    before?.focus();
  }
  toast(done ? `Copied ${what}` : `The browser did not let the page copy ${what}; select it and copy it by hand`, !done);
}

// copyButton copies what text returns.
export function copyButton(label, what, text, kind = 'quiet') {
  return h('button', { type: 'button', class: `button ${kind}`, onclick: () => copy(text(), what) }, label);
}

// command shows a line for the terminal, with a button that copies it.
export function command(line) {
  return h('div', { class: 'command' }, h('code', {}, line), copyButton('Copy', 'the command', () => line));
}
