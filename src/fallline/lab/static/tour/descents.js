// Figures of the tour's pages on descent: rows per step; momentum and Adam.
import { arrow, facts, legend, number, plot, svg } from './kit.js';

const KINDS = { 1: 'orange', 4: 'purple', 16: 'blue', 50: 'gold', all: 'green' };
const NAMES = { 1: '1 row per step', 4: '4 rows', 16: '16 rows', 50: '50 rows', all: 'all rows' };

/** The loss over the rows seen, for several sizes of batch. */
export function batch(found, width) {
  const { chosen, others, rows, epochs } = found;
  const lines = others.some((one) => one.batch_size === chosen.batch_size) ? others : [...others, chosen];
  const axes = plot(width, {
    height: 340, across: [-0.02 * rows * epochs, 1.02 * rows * epochs], up: [0.01, 6], log: true, below: 'rows that went through backpropagation', beside: '↑ loss',
    label: lines.map((one) => `${NAMES[one.batch_size]}: ${number(one.losses.at(-1))} at the end`).join('; '),
  });
  const size = chosen.batch_size === 'all' ? rows : Number(chosen.batch_size);
  const perEpoch = Math.ceil(rows / size);
  const each = chosen.each.map((loss, k) => {
    const [epoch, step] = [Math.floor(k / perEpoch), k % perEpoch];
    return [epoch * rows + Math.min((step + 1) * size, rows), loss == null || loss < 0.01 ? null : loss];
  });
  if (perEpoch > 30) axes.dots(each, `${KINDS[chosen.batch_size]} ghost`, 1.6);
  else axes.line(each, `${KINDS[chosen.batch_size]} noise`);
  for (const one of lines) {
    const kind = KINDS[one.batch_size];
    axes.line(one.seen.map((seen, k) => [seen, one.losses[k]]), `${kind} ${one.batch_size === chosen.batch_size ? 'thicker' : 'thick'}`);
    axes.dots(one.seen.map((seen, k) => [seen, one.losses[k]]), kind, one.batch_size === chosen.batch_size ? 4 : 2.5);
  }
  return [
    axes.node, legend([...lines.map((one) => [KINDS[one.batch_size], NAMES[one.batch_size]]), [`${KINDS[chosen.batch_size]} thin`, 'the chosen one at each step']]),
    facts([
      ...lines.map((one) => [`${NAMES[one.batch_size]}: ${one.steps} steps`, one.losses.at(-1) == null ? 'flew away' : number(one.losses.at(-1)), one.batch_size === chosen.batch_size ? 'main' : '']),
    ]),
  ];
}

const WALKS = { SGD: 'orange', momentum: 'blue', Adam: 'green' };

/** Three ways down one valley, seen from above, and their losses. */
export function momentum(found, width) {
  const { rings, across, up, walks, best, start, steps } = found;
  const height = Math.min(width * 0.78, 400);
  const ends = Object.entries(walks).map(([name, walk]) => [name, walk.losses.at(-1)]);
  const axes = plot(width, {
    height, across, up, below: 'first weight', beside: '↑ second weight',
    label: `Three paths in a narrow valley; after ${steps} steps the losses are ${ends.map(([n, v]) => `${n} ${number(v)}`).join(', ')}`,
  });
  axes.add(svg('rect', { class: 'ground', x: axes.left, y: axes.top, width: axes.right - axes.left, height: axes.bottom - axes.top }));
  rings.forEach((outlines) => {
    const d = outlines.map((ring) => `M${ring.map(([a, b]) => `${axes.x(a).toFixed(1)} ${axes.y(b).toFixed(1)}`).join('L')}Z`).join('');
    axes.add(svg('path', { class: 'ring', d, 'fill-rule': 'evenodd' }));
  });
  for (const [name, walk] of Object.entries(walks)) {
    const places = walk.places.filter((place) => place.every((value) => Math.abs(value) < 1e4));
    places.slice(1).forEach((place, k) => axes.add(arrow(axes.x(places[k][0]), axes.y(places[k][1]), axes.x(place[0]), axes.y(place[1]), WALKS[name], 5)));
    axes.dots(places.slice(1), WALKS[name], 2.2);
  }
  axes.dots([start], 'ink', 6);
  const [bx, by] = [axes.x(best[0]), axes.y(best[1])];
  axes.add(svg('path', { class: 'line ink thick', d: `M${bx - 5} ${by - 5}l10 10m0 -10l-10 10` }));
  const below = plot(width, { height: 200, across: [0, steps], up: [1e-5, 30], log: true, below: 'step', beside: '↑ loss', label: 'The loss after each step' });
  for (const [name, walk] of Object.entries(walks)) {
    below.line(walk.losses.map((value, k) => [k, value == null ? null : Math.max(value, 1e-9)]), `${WALKS[name]} thick`);
  }
  return [
    axes.node, below.node, legend([...Object.entries(WALKS).map(([name, kind]) => [kind, name === 'SGD' ? 'plain steps (SGD)' : name]), ['ink dot', 'start']]),
    facts(ends.map(([name, value]) => [`${name === 'SGD' ? 'plain steps' : name}, after ${steps}`, value == null || value > 1e6 ? 'flew away' : number(value, 3)])),
  ];
}
