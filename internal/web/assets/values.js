// What people write into a field that takes several values: 7, or 1..4, or 1..10..3, or a list of these with commas.
// It is the grammar of the command line's --seeds and --steps.

const most = 10_000; // values of one field
const largest = (1n << 64n) - 1n; // of a seed
const exact = 1n << 53n; // up to which a number is exact everywhere; above, a seed travels as text

// Wrong is a value that cannot be, with the reason as people read it.
export class Wrong extends Error {}

// integers reads whole numbers from least to greatest.
export function integers(text, least, greatest) {
  return spread(text, (word) => {
    if (!/^\d{1,20}$/.test(word)) throw new Wrong(`“${word}” is no whole number; write 7, or 1..4, or 1, 5, 9`);
    const n = BigInt(word);
    if (n < BigInt(least) || n > BigInt(greatest)) throw new Wrong(`${word} is not from ${least} to ${greatest}`);
    return n;
  }).map(Number);
}

// seeds reads seeds: numbers, and text where a number would not be exact.
export function seeds(text) {
  return spread(text, (word) => {
    if (!/^\d{1,20}$/.test(word)) throw new Wrong(`“${word}” is no seed; write 7, or 1..4, or 1, 5, 9`);
    const n = BigInt(word);
    if (n > largest) throw new Wrong(`${word} is larger than a seed can be, which is ${largest}`);
    return n;
  }).map((n) => (n <= exact ? Number(n) : String(n)));
}

// numbers reads numbers from least to greatest, without ranges.
export function numbers(text, least, greatest) {
  return words(text).map((word) => {
    if (!/^\d+(\.\d+)?$/.test(word)) throw new Wrong(`“${word}” is no number; write 7.5, or 2, 5, 9`);
    const x = Number(word);
    if (x < least || x > greatest) throw new Wrong(`${word} is not from ${least} to ${greatest}`);
    return x;
  });
}

// lines reads texts, one a line; empty ones are left out.
export const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

const words = (text) => text.split(/[\s,]+/).filter(Boolean);

// spread reads words and ranges first..last or first..last..step, both ends included.
function spread(text, read) {
  const all = [];
  for (const word of words(text)) {
    const parts = word.split('..');
    if (parts.length > 3) throw new Wrong(`“${word}” is no range; write 1..4 or 1..10..3`);
    const [first, last = first, step = 1n] = parts.map(read);
    if (last < first) throw new Wrong(`“${word}” runs backwards`);
    if (step < 1n) throw new Wrong(`“${word}” has a step of 0`);
    if ((last - first) / step + BigInt(all.length) >= BigInt(most)) throw new Wrong(`these are more than ${most} values; send a larger batch with enqueue`);
    for (let n = first; n <= last; n += step) all.push(n);
  }
  if (new Set(all).size !== all.length) throw new Wrong('a value stands there twice');
  return all;
}
