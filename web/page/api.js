// Requests to the gateway. Every failure is an ApiError with a stable word, for which the page has a sentence.

const VISIT = 'api/visit', KEY = 'token';

/** The token that was accepted, with a `value`, '' if there is none. It stays in this tab. */
export const token = {
  get value() {
    try { return sessionStorage.getItem(KEY) ?? ''; } catch { return ''; }
  },
  set value(text) {
    try { sessionStorage.setItem(KEY, text); } catch { /* a browser may forbid storage: each page asks again */ }
  },
};

/** A request was refused or did not arrive. word: stable; text: the server's own sentence. */
export class ApiError extends Error {
  constructor(word, text, {status = 0, details = {}} = {}) {
    super(text || word);
    this.name = 'ApiError';
    this.word = word;
    this.text = text;
    this.status = status;
    this.details = details;
  }
}

/** Send a request and return its response. Rejects with an ApiError. */
export const ask = (path, options = {}) => signedIn(path, () => askOnce(path, options));

// A server that was restarted has forgotten who is signed in; this tab has not.
async function signedIn(path, attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (error.word !== 'sign_in' || path === VISIT || !token.value) throw error;
    await visit(token.value);
    return attempt();
  }
}

async function askOnce(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), {credentials: 'same-origin', ...options});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('gateway_unreachable', String(error));
  }
  if (response.ok) return response;
  let said = null;
  try { said = await response.json(); } catch { /* a proxy's error page, for example */ }
  throw refusal(response.status, said);
}

const refusal = (status, said) =>
  new ApiError(said?.error?.code ?? 'http', said?.error?.text ?? `HTTP ${status}`, {status, details: said ?? {}});

/** GET JSON. */
export const read = async path => (await ask(path)).json();

/** Send JSON, and return the answer's JSON; null if it has none. */
export async function send(path, body = {}, method = 'POST') {
  const response = await ask(path, {method, headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
  return response.status === 204 ? null : response.json();
}

/** Begin or continue the visit; shown: a token, '' without one. Rejects with 'sign_in' for a token that is not valid. */
export async function visit(shown = '') {
  const headers = shown ? {Authorization: `Bearer ${shown}`} : {};
  return (await ask(VISIT, {method: 'POST', headers})).json();
}

/**
 * Upload a file in pieces, going on where the server has it.
 *
 * put: the address for a piece, without its offset. received: how many bytes the server has. onProgress: called with
 * the bytes so far. signal: aborts. Returns the last answer. A lost connection is tried again for a minute.
 */
export async function upload(put, file, {received = 0, chunk_bytes, onProgress, signal}) {
  let offset = received, answer = null, lost_since = null;
  while (offset < file.size) {
    const piece = file.slice(offset, offset + chunk_bytes);
    try {
      answer = await (await ask(`${put}?offset=${offset}&size=${file.size}`, {method: 'PUT', body: piece, signal})).json();
      offset += piece.size;
      lost_since = null;
    } catch (error) {
      if (error.word === 'wrong_offset') {
        offset = error.details.received_bytes ?? error.details.error?.offset ?? 0;
      } else if (error.word === 'gateway_unreachable' || error.status >= 500) {
        lost_since ??= performance.now();
        if (performance.now() - lost_since > 60_000) throw error;
        await new Promise(resolve => setTimeout(resolve, 1000));
      } else throw error;
    }
    onProgress?.(Math.min(offset, file.size));
  }
  return answer;
}

/** POST a Blob in one piece, and return the answer's JSON. onProgress: called with the bytes so far. signal: aborts. */
export const sendFile = (path, blob, {onProgress, signal} = {}) =>
  signedIn(path, () => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much was sent
    request.open('POST', new URL(path, document.baseURI));
    request.responseType = 'json';
    request.upload.addEventListener('progress', ({loaded}) => onProgress?.(loaded));
    request.addEventListener('load', () => {
      const {status, response} = request;
      if (status === 200 && response) resolve(response); else reject(refusal(status, response));
    });
    request.addEventListener('error', () => reject(new ApiError('gateway_unreachable', path)));
    request.addEventListener('abort', () => reject(new DOMException('cancelled', 'AbortError')));
    signal?.addEventListener('abort', () => request.abort(), {once: true});
    request.send(blob);
  }));
