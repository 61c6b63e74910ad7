// Talking to the lab's server; every address is relative, and so carries the token.

const AGAIN = 2000; // milliseconds between two attempts to find the lab again
let lost = false;

/** JSON from `api/PATH`; a body makes it a POST. Throws the server's sentence. */
export async function api(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    lose();
    throw new Error('The lab does not answer; this page asks again by itself.');
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error ?? `The lab could not answer this (${answer.status}).`);
  return found;
}

/**
 * Call `told(object)` for each event of `api/PATH`; returns what ends it. The path is what `address()` resolves to, which
 * is asked again when the stream goes on: after a lost connection, or when a page that nobody saw is seen again.
 */
export function stream(address, told) {
  let source = null, turn = 0;
  const close = () => {
    turn += 1;
    source?.close();
    source = null;
    removeEventListener('lab:found', open);
  };
  const open = async () => {
    close();
    if (document.hidden) return;
    const mine = turn;
    addEventListener('lab:found', open, { once: true });
    const path = await address().catch(() => null);
    if (mine !== turn || path == null) return;
    source = new EventSource(`api/${path}`);
    source.onmessage = (event) => told(JSON.parse(event.data));
    source.onerror = () => {
      source.close(); // a browser tries again by itself after some errors only; here, after each
      lose();
    };
  };
  document.addEventListener('visibilitychange', open);
  open();
  return () => {
    document.removeEventListener('visibilitychange', open);
    close();
  };
}

/** Say that the lab does not answer, and ask until it does. */
function lose() {
  if (lost) return;
  lost = true;
  const say = (name, text) => dispatchEvent(new CustomEvent(name, { detail: text }));
  say('lab:lost', 'The lab does not answer. It is asked again every two seconds; trainings go on without it.');
  const ask = async () => {
    try {
      const answer = await fetch('icon.svg', { cache: 'no-store' });
      if (answer.ok) {
        lost = false;
        say('lab:found', '');
        return;
      }
      say('lab:lost', 'A lab answers here, with another token: open the address that `fallline lab` printed last.');
    } catch { /* still away */ }
    setTimeout(ask, AGAIN);
  };
  setTimeout(ask, AGAIN / 4);
}
