// Curves over a logarithmic or even axis, with their names beside them.
import { number, svg } from '../parts.js';

const [HEIGHT, LEFT, BOTTOM, TOP] = [230, 42, 34, 10];

/** Curves: [{name, tone, xs, ys}]; the axis is logarithmic where `log`, and then begins at the least above 0. */
export function curves(lines, { x: label, log = false, y: what = 'loss', marks = false, at = null, pick = null, width }) {
  const WIDTH = Math.max(width || 400, 240);
  const xs = lines.flatMap((line) => line.xs).filter((value) => value > 0);
  const [low, high] = [log ? Math.min(...xs) : 0, Math.max(...xs, log ? 0 : 1e-9)];
  const ys = lines.flatMap((line) => line.ys).filter((value) => value != null);
  const start = Math.max(...lines.map((line) => line.ys[0] ?? 0), 1e-9);
  const top = Math.min(Math.max(...ys, 1e-9), start * 2) * 1.06;
  const bottom = Math.min(0, ...ys);
  const across = (value) => {
    const share = log ? Math.log(Math.max(value, low) / low) / Math.max(Math.log(high / low), 1e-9) : value / high;
    return LEFT + share * (WIDTH - LEFT - 12);
  };
  const up = (value) => TOP + (1 - (Math.min(value, top) - bottom) / (top - bottom)) * (HEIGHT - BOTTOM - TOP);
  const line = ({ name, tone, xs: places, ys: values }) => {
    const points = places.map((value, k) => (values[k] == null ? null : `${across(value).toFixed(1)},${up(values[k]).toFixed(1)}`)).filter(Boolean);
    return svg('g', { class: tone },
      svg('polyline', { points: points.join(' '), class: 'curve', pathLength: 1 }, svg('title', {}, name)),
      ...(marks ? points.map((point) => svg('circle', { cx: point.split(',')[0], cy: point.split(',')[1], r: 1.9 })) : []));
  };
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'curves', role: 'img', 'aria-label': `${what} by ${label}: ${lines.map(({ name, ys: values }) => `${name} ends at ${number(values.at(-1), 3)}`).join('; ')}` },
    ...ticks(bottom, top).map((value) => svg('g', {}, svg('line', { x1: LEFT, x2: WIDTH - 12, y1: up(value), y2: up(value), class: 'hair' }), svg('text', { x: LEFT - 6, y: up(value) + 3.5, 'text-anchor': 'end' }, number(value, 2)))),
    ...(log ? powers(low, high) : ticks(0, high)).map((value) => svg('text', { x: across(value), y: HEIGHT - BOTTOM + 15, 'text-anchor': 'middle' }, tick(value))),
    svg('text', { x: (LEFT + WIDTH) / 2, y: HEIGHT - 4, 'text-anchor': 'middle', class: 'axis' }, log ? `${label}, logarithmic` : label),
    at == null ? '' : svg('line', { x1: across(at), x2: across(at), y1: TOP, y2: HEIGHT - BOTTOM, class: 'cursor' }),
    ...lines.map(line));
  if (pick) {
    picture.addEventListener('pointerdown', (event) => {
      const box = picture.getBoundingClientRect();
      const share = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - 12);
      pick(Math.min(1, Math.max(0, share)) * high);
    });
  }
  return picture;
}

function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough) ?? rough;
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, k) => k * step).filter((value) => value >= low);
}

function powers(low, high) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, k) => 10 ** (first + k));
}

const tick = (value) => (value >= 10000 || (value && value < 0.001) ? value.toExponential(0).replace('e+', 'e').replace('e-', 'e−') : number(value));
