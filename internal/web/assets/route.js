// Where one is: the part of the address behind #, so that every batch and every picture has a link of its own.
//
//   #/                    all pictures, the newest first
//   #/batches/ID          a batch
//   #/batches/ID/INDEX    a picture, over whatever was there before
//   #/dead                dead letters
//   #/new                 the form, over whatever was there before
//   #/overview            on a narrow screen: queue, workers, batches

// parse reads the address; one that is none of these is taken for the first.
export function parse(hash) {
  const [first, id, index, ...more] = hash.replace(/^#\/?/, '').split('/').map(decode);
  if (first === 'batches' && /^[A-Za-z0-9_-]{1,64}$/.test(id ?? '') && !more.length) {
    if (index === undefined) return { view: 'batch', batch: id };
    if (/^\d{1,15}$/.test(index)) return { view: 'picture', batch: id, index: Number(index) };
  }
  if (id === undefined && ['dead', 'new', 'overview'].includes(first)) return { view: first };
  return { view: 'pictures' };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return ''; // a broken escape: no such place
  }
}

export const link = {
  pictures: '#/',
  dead: '#/dead',
  batch: (batch) => `#/batches/${encodeURIComponent(batch)}`,
  picture: (batch, index) => `#/batches/${encodeURIComponent(batch)}/${index}`,
};

// go moves to a place: with a step in the history, or in the place of the last one.
export function go(hash, replace = false) {
  if (location.hash === hash) return;
  if (!replace) {
    location.hash = hash;
    return;
  }
  history.replaceState(null, '', hash);
  dispatchEvent(new HashChangeEvent('hashchange'));
}
