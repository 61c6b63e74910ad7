// Learn: the tour, page by page; each figure is computed anew by the engine whenever something is moved.
import { style } from '../parts.js';
import { controls } from '../tour/controls.js';
import * as descents from '../tour/descents.js';
import { h } from '../tour/kit.js';
import * as oneNeuron from '../tour/one_neuron.js';
import * as trouble from '../tour/trouble.js';
import * as twoLayers from '../tour/two_layers.js';

export const title = 'Learn';
const FIGURES = { ...oneNeuron, ...twoLayers, ...descents, ...trouble };

export async function mount(main, { api, keep, rest, state, keys }) {
  await style('pages/learn.css');
  const tour = await api('tour');
  const at = Math.max(0, tour.findIndex((page) => page.name === rest[0]));
  const page = tour[at];
  if (rest[0] !== page.name) history.replaceState(null, '', `#/learn/${page.name}`);
  const values = Object.fromEntries(page.controls.filter(({ name }) => state[name] != null).map(({ name }) => [name, state[name]]));
  const figure = h('figure', { class: 'card', 'aria-label': 'Figure' });
  const drawing = h('div', { class: 'tour-drawing' }, h('p', { class: 'muted' }, 'The engine is computing …'));
  const mistake = h('p', { class: 'mistake', role: 'alert', hidden: true });
  const { node: text, printed } = prose(page, values);
  let found = null, wanted = null, busy = false;

  const draw = () => {
    if (found && drawing.clientWidth) drawing.replaceChildren(...FIGURES[page.name](found, drawing.clientWidth).filter(Boolean));
  };
  const load = async () => {
    wanted = new URLSearchParams(values).toString();
    if (busy) return; // the answer that is on its way asks for the next one
    busy = true;
    while (wanted != null) {
      const query = wanted;
      wanted = null;
      try {
        found = await api(`tour/${page.name}${query ? `?${query}` : ''}`);
        mistake.hidden = true;
        printed(found, values);
        draw();
      } catch (error) {
        mistake.textContent = error.message;
        mistake.hidden = false;
      }
    }
    busy = false;
  };
  const moved = () => {
    keep(values);
    load();
  };
  figure.append(drawing, mistake, controls(page.controls, values, moved));
  main.replaceChildren(h('article', { class: 'learn' },
    h('div', { class: 'tour-head' }, contents(tour, at), h('h1', {}, page.title), h('p', { class: 'lead' }, runs(page.lead))),
    figure, text, steps(tour, at)));
  const watching = new ResizeObserver(() => draw());
  watching.observe(drawing);
  turning(tour, at, keys);
  scrollTo(0, 0);
  await load();
  return () => watching.disconnect();
}

function contents(tour, at) {
  return h('div', { class: 'contents', role: 'navigation', 'aria-label': 'Pages of the tour' }, h('ol', {}, tour.map((page, k) => h('li', {},
    h('a', { href: `#/learn/${page.name}`, title: page.title, 'aria-label': `${k + 1}. ${page.title}`, 'aria-current': k === at ? 'page' : null }, String(k + 1))))));
}

function steps(tour, at) {
  const link = (page, kind, way) => (page ? h('a', { class: kind, href: `#/learn/${page.name}`, rel: kind }, h('span', {}, way), page.title) : h('span', {}));
  return h('div', { class: 'turn', role: 'navigation', 'aria-label': 'Previous and next page' }, link(tour[at - 1], 'prev', '← before'), at + 1 < tour.length ? link(tour[at + 1], 'next', 'next →')
      : h('a', { class: 'next', href: '#/play' }, h('span', {}, 'and now →'), 'Play with a network of your own'));
}

/** The arrow keys turn the pages, unless they move something. */
function turning(tour, at, keys) {
  const go = (page) => page && (location.hash = `#/learn/${page.name}`);
  keys([
    { key: 'ArrowRight', text: 'next page', run: () => go(tour[at + 1]) },
    { key: 'ArrowLeft', text: 'page before', run: () => go(tour[at - 1]) },
  ]);
}

/** Runs of text: plain, or [style, words]. */
function runs(parts) {
  return parts.map((part) => (typeof part === 'string' ? part : h(part[0], {}, part[1])));
}

/** The page's words; `printed(found, values)` brings its Python and what it prints up to date. */
function prose(page) {
  const code = h('code', {}), output = h('samp', {});
  let source = '';
  const block = (one) => {
    if (one.kind === 'paragraph') return h('p', {}, runs(one.text));
    if (one.kind === 'list') return h('ul', {}, one.items.map((item) => h('li', {}, runs(item))));
    if (one.kind === 'formula') return h('pre', { class: 'formula', tabindex: '0' }, one.text.trimEnd());
    source = one.text.trimEnd();
    return [h('pre', { tabindex: '0' }, code), h('p', { class: 'muted' }, 'It prints what the figure shows:'), h('pre', { class: 'printed', tabindex: '0' }, output)];
  };
  const section = ({ heading, blocks }) => {
    const inside = blocks.flatMap(block);
    if (!heading) return inside;
    if (heading === 'Try it') return h('section', { class: 'try' }, h('h2', {}, heading), inside);
    return h('details', { class: heading.includes('Python') ? 'python' : '' }, h('summary', {}, heading), inside);
  };
  const node = h('div', { class: 'text' }, page.sections.map(section).flat());
  const printed = (found, values) => {
    code.textContent = withSettings(source, values);
    output.textContent = found.printed.join('\n');
  };
  return { node, printed };
}

/** The page's Python with the reader's settings in it. */
function withSettings(source, values) {
  return Object.entries(values).reduce((text, [name, value]) => {
    const written = /^-?[\d.]+$/.test(value) ? value : `"${value}"`;
    return text.replace(new RegExp(`^${name} = .*$`, 'm'), () => `${name} = ${written}`);
  }, source);
}
