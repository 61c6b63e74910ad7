// Talking to the lab's server; every address is relative, and so carries the token.

/** JSON from `api/PATH`; a body makes it a POST. Throws the server's sentence. */
export async function api(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  };
  const answer = await fetch(`api/${path}`, options);
  const found = await answer.json().catch(() => ({ error: `the lab answered ${answer.status}` }));
  if (!answer.ok) throw new Error(found.error ?? `the lab answered ${answer.status}`);
  return found;
}

/** Call `told(object)` for each event of `api/PATH`; returns what ends it. */
export function stream(path, told) {
  const source = new EventSource(`api/${path}`);
  source.onmessage = (event) => told(JSON.parse(event.data));
  return () => source.close();
}
