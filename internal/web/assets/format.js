// How figures are written: as the command line writes them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

// count writes 12345 as 12,345.
export const count = (n) => whole.format(n ?? 0);

// short writes a count in at most five characters or so: 12.3K.
export const short = (n) => ((n ?? 0) < 10000 ? count(n) : compact.format(n));

// plural is "1 picture", "12 pictures".
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// number writes up to three digits after the point, none that are 0.
export const number = (x) => String(Math.round(x * 1000) / 1000);

// rate writes how many a second, or a minute where that is clearer.
export function rate(perSecond) {
  if (!(perSecond > 0)) return '0/s';
  if (perSecond < 0.095) return `${digits(perSecond * 60)}/min`;
  return `${digits(perSecond)}/s`;
}

// digits writes two or three significant digits.
function digits(x) {
  if (x >= 100) return whole.format(x);
  return x >= 10 ? x.toFixed(1) : x.toFixed(2).replace(/0$/, '');
}

// millis writes a duration in milliseconds: 420 ms, 3.21 s, and longer ones as seconds does.
export function millis(ms) {
  if (ms < 0) return `−${millis(-ms)}`;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  return seconds(ms / 1000);
}

// seconds writes a duration in its two largest units: 45 s, 2 min 5 s, 3 h 4 min, 2 d 1 h.
export function seconds(s) {
  const t = Math.max(0, Math.round(s));
  const two = (a, unit, b, lesser) => (b ? `${a} ${unit} ${b} ${lesser}` : `${a} ${unit}`);
  if (t < 60) return `${t} s`;
  if (t < 3600) return two(Math.floor(t / 60), 'min', t % 60, 's');
  if (t < 86400) return two(Math.floor(t / 3600), 'h', Math.floor((t % 3600) / 60), 'min');
  return two(Math.floor(t / 86400), 'd', Math.floor((t % 86400) / 3600), 'h');
}

// about writes a duration in its largest unit alone: 45 s, 3 min, 2 h.
export function about(s) {
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60]]) {
    if (s >= 1.5 * size) return `${Math.round(s / size)} ${unit}`;
  }
  return `${Math.max(1, Math.round(s))} s`;
}

// since is how long ago a time of the server is, by the clock of this machine.
export function since(time, now = Date.now()) {
  const then = Date.parse(time);
  return then > 0 ? seconds((now - then) / 1000) : '';
}

// clock writes a time of day, with the date unless it is today's; nothing for a time that is not known.
export function clock(time) {
  const at = new Date(time ?? NaN);
  if (!(at.getTime() > 0)) return '';
  const day = at.toDateString() === new Date().toDateString() ? '' : `${at.toLocaleDateString('en', { day: 'numeric', month: 'short' })} `;
  return day + at.toLocaleTimeString('en', { hour12: false });
}

// bytes writes a size: 12.3 kB.
export function bytes(n) {
  for (const [unit, size] of [['MB', 1e6], ['kB', 1e3]]) {
    if (n >= size) return `${digits(n / size)} ${unit}`;
  }
  return `${count(n)} B`;
}
