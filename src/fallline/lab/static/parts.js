// Small helpers that all pages share: elements, numbers, style sheets, colours.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: attributes whose name begins with 'on' are listeners; texts are inert, whatever they hold. */
export function h(tag, attributes = {}, ...children) {
  return made(document.createElement(tag), attributes, children);
}

/** The same, of a picture. */
export function svg(tag, attributes = {}, ...children) {
  return made(document.createElementNS(SVG, tag), attributes, children);
}

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value == null || (value === false && !name.startsWith('aria-'))) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Write a text into an element, unless it says that already: a page that has not changed is not laid out again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Load a page's style sheet once; resolves when it is there. */
export function style(address) {
  const found = document.querySelector(`link[href="${address}"]`);
  if (found) return found.sheet ? Promise.resolve() : loaded(found);
  const link = h('link', { rel: 'stylesheet', href: address });
  document.head.append(link);
  return loaded(link);
}

function loaded(link) {
  return new Promise((done) => {
    link.addEventListener('load', done, { once: true });
    link.addEventListener('error', done, { once: true });
  });
}

const MINUS = '−';

/** A number to some significant digits: 0.001235, 1.2e−9, 12,345. */
export function number(value, digits = 4) {
  if (value == null || Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : `${MINUS}∞`;
  const size = Math.abs(value);
  let text;
  if (value === 0) text = '0';
  else if (Number.isInteger(value) && size < 1e7) text = size.toLocaleString('en');
  else if (size < 1e-4 || size >= 1e7) text = size.toExponential(Math.max(digits - 2, 1)).replace(/\.?0+e/, 'e').replace('e-', `e${MINUS}`).replace('e+', 'e');
  else text = size.toPrecision(digits).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
  return value < 0 ? MINUS + text : text;
}

/** A number with its sign: +0.5, −0.25. */
export function signed(value, digits = 4) {
  return value > 0 ? `+${number(value, digits)}` : number(value, digits);
}

/** A count: 669,706. */
export function count(value) {
  return value == null ? '–' : Math.round(value).toLocaleString('en');
}

/** A count in few letters: 670 k, 1.2 M. */
export function short(value) {
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e4, 'k']]) {
    if (value >= size) return `${number(value / (unit === 'k' ? 1e3 : size), 3)} ${unit}`;
  }
  return count(value);
}

/** '1 unit', '2 units'. */
export function plural(value, word) {
  return `${count(value)} ${word}${value === 1 ? '' : 's'}`;
}

/** A share: 0.8 %, 12 %. */
export function percent(value) {
  return value == null ? '–' : `${number(100 * value, 2)} %`;
}

/** The value of a colour or length that base.css names, such as colour('accent'). */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Call `told` when the screen turns light or dark; returns what ends it. */
export function onScheme(told) {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', told);
  return () => dark.removeEventListener('change', told);
}

/** Whether the reader asks for stillness. */
export function still() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}

/** A sentence about something that went wrong, to be read out at once. */
export function mistake(error) {
  const text = error?.message ?? String(error);
  return h('p', { class: 'mistake', role: 'alert' }, text);
}
