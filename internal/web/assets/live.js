// The stream of what happens: one EventSource, which is made again whenever it is lost.

const silence = 20_000; // ms without any event, after which a stream that pings is taken for lost
const again = 1000; // ms until the next try; the server's `retry` says the same to the browser

// live follows the server. on.state, on.images and on.dead get what events carry, on.connection whether the stream
// is there: true again means that things may have been missed. It says so of each change once.
export function live(on) {
  let source = null;
  let connected = null; // not known yet
  let heard = Date.now();
  let pings = false;
  let timer = 0;

  const say = (is) => {
    if (connected === is) return;
    connected = is;
    on.connection(is);
  };
  const listen = (name, handle) =>
    source.addEventListener(name, (event) => {
      heard = Date.now();
      handle(JSON.parse(event.data));
    });

  function open() {
    clearTimeout(timer);
    source?.close();
    heard = Date.now();
    pings = false;
    source = new EventSource('/api/events');
    source.onopen = () => {
      heard = Date.now();
      say(true);
    };
    source.onerror = () => {
      say(false);
      // An answer other than a stream ends the browser's own tries.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, again);
    };
    listen('state', on.state);
    listen('image', on.images);
    listen('dead', on.dead);
    listen('ping', () => {
      pings = true;
    });
  }

  const soon = () => connected === false && open();
  addEventListener('online', soon);
  addEventListener('offline', () => say(false));
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && soon());
  setInterval(() => {
    if (!pings || Date.now() - heard < silence) return;
    say(false);
    open();
  }, 2000);
  open();
}
