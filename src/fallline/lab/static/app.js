// The shell: which page is open, told by the address after '#', such as #/play?layers=4,4
import { api, stream } from './api.js';

const PAGES = ['watch', 'network', 'descent', 'play', 'learn'];
let leave = () => {};

/** The address as {page, rest: [...], state: {...}}. */
export function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [page = 'watch', ...rest] = path.split('/').filter(Boolean).map(decodeURIComponent);
  return { page: PAGES.includes(page) ? page : 'watch', rest, state: Object.fromEntries(new URLSearchParams(query)) };
}

/** Keep a page's state in the address, without a new entry in the browser's history. */
export function keep(state) {
  const { page, rest } = place();
  const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value != null && value !== ''));
  const text = query.toString();
  history.replaceState(null, '', `#/${[page, ...rest].map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`);
}

async function show() {
  const { page, rest, state } = place();
  leave();
  leave = () => {};
  const main = document.getElementById('page');
  main.replaceChildren();
  document.querySelectorAll('#tabs a').forEach((a) => a.toggleAttribute('aria-current', a.dataset.page === page));
  const module = await import(`./pages/${page}.js`);
  document.title = `${module.title} · Fallline lab`;
  leave = (await module.mount(main, { api, stream, keep, rest, state })) ?? (() => {});
}

const tabs = document.getElementById('tabs');
for (const page of PAGES) {
  const link = document.createElement('a');
  link.href = `#/${page}`;
  link.dataset.page = page;
  link.textContent = page[0].toUpperCase() + page.slice(1);
  tabs.append(link);
}
window.addEventListener('hashchange', show);
show();
