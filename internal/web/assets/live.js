// The stream of what happens: one EventSource, which is made again whenever it is lost.

const silence = 20_000; // ms without any event, after which a stream that pings is taken for lost
const again = 1000; // ms until the next try; the server's `retry` says the same to the browser
const unseen = 30_000; // ms in the background, after which a page rests: browsers keep few connections to one server

// live follows the server. on.state, on.images and on.dead get what events carry. on.connection gets whether the stream
// is there, once for each change, and whether things may have been missed because it was not.
export function live(on) {
  let source = null; // null while it rests
  let connected = null; // null while it is not known
  let before = false; // there was a stream before
  let heard = Date.now();
  let pings = false;
  let timer = 0;
  let resting = 0;

  const say = (is) => {
    if (connected === is) return;
    connected = is;
    on.connection(is, is && before);
    before ||= is;
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

  function rest() {
    clearTimeout(timer);
    source.close();
    source = null;
    connected = null;
  }

  addEventListener('online', () => connected === false && open());
  addEventListener('offline', () => say(false));
  document.addEventListener('visibilitychange', () => {
    clearTimeout(resting);
    if (document.visibilityState === 'hidden') resting = setTimeout(rest, unseen);
    else if (!source || connected === false) open();
  });
  setInterval(() => {
    if (!source || !pings || Date.now() - heard < silence) return;
    say(false);
    open();
  }, 2000);
  open();
}
