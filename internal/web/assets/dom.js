// Elements are made and changed here. Text goes in as text nodes alone, so that nothing that a job, a file or a worker
// says can become markup.

// h makes an element. A property on… is a listener, true an attribute without a value; null, undefined and false
// leave an attribute away. Children are elements and texts; null, undefined and false are left out.
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else attribute(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// attribute sets one, or takes it away, and touches nothing that is as it should be.
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else {
    const wanted = value === true ? '' : String(value);
    if (element.getAttribute(name) !== wanted) element.setAttribute(name, wanted);
  }
}

// text sets the text of an element, if it is another.
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

// keyed makes the children of parent those of items, in their order: each is made once for its key, and brought up to
// date after that, so that what has the focus keeps it.
export function keyed(parent, items, keyOf, create, update) {
  const keys = new Set(items.map(keyOf));
  const there = new Map();
  for (const child of [...parent.children]) {
    if (keys.has(child.dataset.key)) there.set(child.dataset.key, child);
    else child.remove();
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = there.get(key);
    if (!child) {
      child = create(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}

// local is a path on this server, or nothing: an address from elsewhere is never followed.
export function local(path) {
  return typeof path === 'string' && /^\/(?![/\\])/.test(path) ? path : null;
}

// find is the element with this id, which index.html has.
export const find = (id) => document.getElementById(id);
