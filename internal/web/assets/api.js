// Questions to the server, which is the one that the page came from.

// Refused is an answer that says why not. status is 0 where there was no answer.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// get asks for JSON.
export const get = (path, signal) => ask(path, { signal });

// post sends JSON. The type keeps a form on another page from doing the same.
export function post(path, body = {}) {
  return ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: 'same-origin', redirect: 'error', headers: { Accept: 'application/json', ...options.headers } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0, 'the server of this page does not answer; see that it still runs, and try again');
  }
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(response.status, `the server answered ${response.status} and no JSON; see its log`);
  }
  if (!response.ok) throw new Refused(response.status, answer.error || `the server answered ${response.status}`);
  return answer;
}

// Paths of the server. Ids are encoded, whatever they hold.
const id = encodeURIComponent;
export const path = {
  batch: (batch) => `/api/batches/${id(batch)}`,
  pictures: (batch, from, limit) => `/api/batches/${id(batch)}/images?from=${from}&limit=${limit}`,
  recent: (after, limit) => `/api/images?limit=${limit}${after ? `&after=${id(after)}` : ''}`,
  job: (batch, index) => `/api/jobs/${id(batch)}/${id(index)}`,
  dead: (after, limit) => `/api/dead?limit=${limit}${after ? `&after=${id(after)}` : ''}`,
  model: (model) => `/api/models/${id(model)}`,
};
