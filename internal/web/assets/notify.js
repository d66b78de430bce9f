// What is said to people: on the screen, and to those who hear the page.
import { find, h } from './dom.js';

// place puts the notices into the dialog that is open, since everything outside it is out of reach, or back.
export function place() {
  const host = [...document.querySelectorAll('dialog:modal')].at(-1) ?? document.body;
  const notices = find('notices');
  if (notices.parentNode !== host) host.append(notices);
}

// announce says something to a screen reader, at once if it is urgent.
export function announce(message, urgent = false) {
  const region = find(urgent ? 'assertive' : 'polite');
  region.replaceChildren();
  // A region that was just moved or emptied is watched from the next frame on; the same text twice is two messages.
  setTimeout(() => region.replaceChildren(h('p', {}, message)), 50);
}

// toast shows a message for a while, longer for a failure, and says it.
export function toast(message, failed = false) {
  const note = h('div', { class: failed ? 'toast bad' : 'toast' },
    h('p', {}, message),
    h('button', { type: 'button', class: 'button plain', 'aria-label': 'Dismiss this message', onclick: () => note.remove() }, '×'));
  const box = find('toasts');
  box.append(note);
  while (box.children.length > 3) box.firstElementChild.remove();
  setTimeout(() => note.remove(), failed ? 15_000 : 5_000);
  announce(message, failed);
}

// attempt runs what may be refused, and shows why it was. It returns undefined then.
export async function attempt(what) {
  try {
    return await what();
  } catch (error) {
    toast(sentence(error.message), true);
    return undefined;
  }
}

// sentence begins a message of the server, which is in lower case, as people begin one.
export const sentence = (message) => message.charAt(0).toUpperCase() + message.slice(1);
