// The shell: which page is open, told by the address after '#', such as #/play?layers=4,4
import { api, stream } from './api.js';
import { h, mistake } from './parts.js';

const PAGES = ['watch', 'network', 'descent', 'play', 'learn'];
const EVERYWHERE = [
  ['1 … 5', 'open Watch, Network, Descent, Play, Learn'],
  ['?', 'show these keys'],
];
let leave = () => {};
let shortcuts = [];
let shown = 0;

/** The address as {page, rest: [...], state: {...}}. */
export function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [page = 'watch', ...rest] = path.split('/').filter(Boolean).map(decoded);
  return { page: PAGES.includes(page) ? page : 'watch', rest, state: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that means itself
  }
}

/** Keep a page's state in the address, without a new entry in the browser's history. */
export function keep(state) {
  const { page, rest } = place();
  const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value != null && value !== ''));
  const text = query.toString();
  history.replaceState(null, '', `#/${[page, ...rest].map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`);
}

/** A page's keys: [{key: 'p', text: 'pause', run}], listed by '?'. */
export function keys(list) {
  shortcuts = list;
}

async function show() {
  const { page, rest, state } = place();
  const mine = ++shown;
  leave();
  leave = () => {};
  shortcuts = [];
  const main = document.getElementById('page');
  main.replaceChildren();
  main.dataset.page = page;
  document.querySelectorAll('#tabs a').forEach((a) => {
    if (a.dataset.page === page) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  });
  try {
    const module = await import(`./pages/${page}.js`);
    document.title = `${module.title} · Fallline lab`;
    const end = (await module.mount(main, { api, stream, keep, rest, state, keys })) ?? (() => {});
    if (mine === shown) leave = end;
    else end(); // another page was opened meanwhile
  } catch (error) {
    if (mine === shown) main.replaceChildren(h('div', { class: 'card' }, mistake(error)));
  }
}

function tabs() {
  const nav = document.getElementById('tabs');
  for (const page of PAGES) {
    nav.append(h('a', { href: `#/${page}`, 'data-page': page }, page[0].toUpperCase() + page.slice(1)));
  }
  nav.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const links = [...nav.children];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    links[(at + step + links.length) % links.length].focus();
  });
}

function help() {
  const dialog = document.getElementById('keys');
  const rows = [...shortcuts.map(({ key, text }) => [key === ' ' ? 'Space' : key, text]), ...EVERYWHERE];
  dialog.querySelector('dl').replaceChildren(...rows.flatMap(([key, text]) => [
    h('dt', {}, h('kbd', {}, key.replace('ArrowLeft', '←').replace('ArrowRight', '→'))), h('dd', {}, text),
  ]));
  dialog.showModal();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.('input, select, textarea, dialog[open], [contenteditable]')) return;
  if (event.key === '?') return void help();
  const page = PAGES[Number(event.key) - 1];
  if (page) return void (location.hash = `#/${page}`);
  if (event.key === ' ' && event.target.closest?.('button, a, summary')) return;
  const found = shortcuts.find(({ key }) => key === event.key);
  if (!found) return;
  event.preventDefault();
  found.run();
}

tabs();
document.getElementById('help').addEventListener('click', help);
document.getElementById('keys').addEventListener('click', (event) => {
  if (event.target.id === 'keys') event.target.close(); // beside it
});
addEventListener('keydown', pressed);
addEventListener('hashchange', show);
addEventListener('lab:lost', ({ detail }) => {
  const line = document.getElementById('lost');
  line.textContent = detail;
  line.hidden = false;
});
addEventListener('lab:found', () => { document.getElementById('lost').hidden = true; });
show();
