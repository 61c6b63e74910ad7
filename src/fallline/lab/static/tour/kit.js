// What the tour's figures are drawn with: elements, numbers, and plots for a given width.
import * as parts from '../parts.js';

/** An element; its children may be lists in lists. */
export const h = (tag, attributes, ...children) => parts.h(tag, attributes, ...children.flat(Infinity));
/** The same, of a picture. */
export const svg = (tag, attributes, ...children) => parts.svg(tag, attributes, ...children.flat(Infinity));

/** A number for a reader: four significant digits, a true minus sign, 1.2·10⁻⁷ for the extremes. */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return 'no number';
  if (value === 0) return '0';
  const size = Math.abs(value);
  let text;
  if (size >= 1e-3 && size < 1e6) text = String(Number(value.toPrecision(digits)));
  else {
    const [head, power] = value.toExponential(Math.max(digits - 2, 1)).split('e');
    const short = String(Number(head));
    text = `${short === '1' ? '' : `${short}·`}10${raised(Number(power))}`;
  }
  return text.replace('-', '−');
}

/** A power's number, small and high. */
function raised(power) {
  return String(power).replace(/[-\d]/g, (c) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'[c === '-' ? 0 : Number(c) + 1]);
}

/** A picture of some size, with words for those who do not see it. */
export function picture(width, height, label, ...children) {
  return svg('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label }, children);
}

/** Text at a place. */
export function words(x, y, text, kind = '', anchor = 'middle') {
  return svg('text', { x, y, class: kind, 'text-anchor': anchor }, text);
}

/** An arrow from one place to another; `head` is how long its point is. */
export function arrow(x0, y0, x1, y1, kind, head = 7) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (!(length > 0.5) || length > 1e5) return null;
  const point = Math.min(head, length);
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const [bx, by] = [x1 - ux * point, y1 - uy * point];
  const side = point * 0.5;
  return svg('g', { class: kind },
    svg('path', { class: 'line', d: `M${x0} ${y0}L${bx} ${by}` }),
    svg('path', { class: 'fill', d: `M${x1} ${y1}L${bx - uy * side} ${by + ux * side}L${bx + uy * side} ${by - ux * side}Z` }));
}

/** About `count` round numbers between two. */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => rough <= factor * power * 1.000001);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) found.push(Number((k * step).toPrecision(12)));
  return found;
}

function integers(low, high) {
  return Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, k) => Math.ceil(low) + k);
}

function powers(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const each = Math.max(1, Math.ceil((last - first + 1) / most));
  const found = [];
  for (let k = first; k <= last; k += each) found.push(10 ** k);
  return found;
}

/** A tick's words; on an axis of many powers of ten all are written as powers. */
function tick(value, range, log) {
  if (log && range[1] / range[0] > 2e4) return value === 1 ? '1' : `10${raised(Math.round(Math.log10(value)))}`;
  return number(value, 6);
}

/**
 * Axes with room to draw in: {node, x, y, add, line, dots, name}.
 *
 * Options: `height`; `across` and `up`, the ranges; `log`, `logAcross`, logarithmic axes; `below`, `beside`, what the
 * axes say; `label`, for those who do not see it; `whole`, each whole number across is marked.
 */
export function plot(width, options) {
  const { height = 260, across, up, log = false, logAcross = false, below = '', beside = '', label = '', marks = 5, whole = false } = options;
  const [left, right, top, bottom] = [50, width - 20, beside ? 30 : 14, height - 42];
  const place = (range, start, end, isLog) => {
    const at = isLog ? Math.log : (v) => v;
    return (value) => start + (end - start) * (at(value) - at(range[0])) / (at(range[1]) - at(range[0]));
  };
  const x = place(across, left, right, logAcross);
  const y = place(up, bottom, top, log);
  const inside = svg('svg', { x: left, y: top, width: right - left, height: bottom - top, viewBox: `${left} ${top} ${right - left} ${bottom - top}` });
  const axes = svg('g', {});
  for (const value of log ? powers(up[0], up[1], 6) : ticks(up[0], up[1], marks)) {
    axes.append(svg('path', { class: 'rule', d: `M${left} ${y(value)}H${right}` }), words(left - 8, y(value) + 4, tick(value, up, log), 'tick', 'end'));
  }
  for (const value of logAcross ? powers(across[0], across[1], 8) : whole ? integers(across[0], across[1]) : ticks(across[0], across[1], width < 420 ? 4 : 7)) {
    axes.append(words(x(value), bottom + 18, tick(value, across, logAcross), 'tick'));
  }
  axes.append(words((left + right) / 2, height - 6, below, 'tick'), words(8, 14, beside, 'tick', 'start'));
  const node = picture(width, height, label, axes, inside);
  const shown = (points) => points.filter(([, value]) => value != null && (!log || value > 0));
  const pixel = ([a, b]) => `${x(a).toFixed(2)} ${Math.max(-1e4, Math.min(1e4, y(b))).toFixed(2)}`;
  return {
    node, x, y, left, right, top, bottom, inside,
    add: (...parts) => inside.append(...parts.flat().filter(Boolean)),
    line: (points, kind) => inside.append(svg('path', { class: `line ${kind}`, d: `M${shown(points).map(pixel).join('L')}` })),
    dots: (points, kind, radius = 4) => {
      for (const [a, b] of shown(points)) inside.append(svg('circle', { class: `fill ${kind}`, cx: x(a), cy: y(b), r: radius }));
    },
  };
}

/** What the lines of a plot are: [[kind, words], …]. */
export function legend(entries) {
  return h('ul', { class: 'legend' }, entries.map(([kind, text]) => h('li', {}, h('i', { class: kind }), text)));
}

/** Numbers with their names. */
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.map(([name, value, kind]) => h('div', { class: kind ?? '' }, h('dt', {}, name), h('dd', {}, value))));
}

/** The smallest and largest number, with some air. */
export function range(values, air = 0.06) {
  const finite = values.filter((value) => value != null);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const extra = (high - low) * air || 1;
  return [low - extra, high + extra];
}

/** Minus for people, in brackets: (−2). */
export function bracketed(value, digits) {
  return value < 0 ? `(${number(value, digits)})` : number(value, digits);
}
