// The network, drawn: each unit's picture of the plane, and its weights as lines.
import { bytes, canvasOf, oneField, paint, shareField, twoSided, zeroOf } from '../fields.js';
import { h, number, svg } from '../parts.js';

const TOP = 40;

/** A drawing of a network; `choose(layer, unit)` is called with what is clicked, `resize(layer, change)` by the counts. */
export function network(choose, resize) {
  const lines = svg('svg', { class: 'links', 'aria-hidden': 'true' });
  const holder = h('div', { class: 'network' }, lines);
  const units = new Map();
  const heads = [];
  let shape = '';
  let last = null;

  function layout(data, widths, force) {
    const width = holder.clientWidth || 560;
    const most = Math.max(...widths);
    const spare = width / widths.length;
    const size = Math.round(Math.min(58, Math.max(26, spare * 0.52), Math.max(28, 470 / most - 15)));
    const step = Math.max(size + (most > 8 ? 11 : 16), Math.min(92, 480 / most, size * 1.7));
    const key = [width, size, ...widths, ...data.names, ...data.classes].join();
    if (key === shape && !force) return false;
    shape = key;
    units.forEach(({ button }) => button.remove());
    heads.forEach((head) => head.remove());
    units.clear();
    heads.length = 0;
    const height = TOP + most * step + 6;
    holder.style.height = `${height}px`;
    lines.setAttribute('viewBox', `0 0 ${width} ${height}`);
    widths.forEach((count, layer) => {
      const left = widths.length === 1 ? 0 : ((width - size - 8) * layer) / (widths.length - 1) + 4;
      heads.push(headOf(layer, count, widths.length, left + size / 2));
      for (let unit = 0; unit < count; unit += 1) {
        const top = TOP + (most - count) * step / 2 + unit * step;
        units.set(`${layer}.${unit}`, { ...unitOf(data, layer, unit, widths, size, left, top), left, top, size });
      }
    });
    holder.append(...heads, ...[...units.values()].map(({ button }) => button));
    return true;
  }

  function headOf(layer, count, layers, middle) {
    const inside = layer > 0 && layer < layers - 1;
    const change = (by, label) => h('button', { type: 'button', class: 'tiny', 'aria-label': `${label} in hidden layer ${layer}`, onclick: () => resize(layer - 1, by) }, by < 0 ? '−' : '+');
    const head = h('div', { class: 'head' }, ...(inside ? [change(-1, 'one unit fewer'), h('span', {}, String(count)), change(1, 'one unit more')] : [h('span', {}, layer ? 'output' : 'input')]));
    head.style.left = `${middle}px`;
    return head;
  }

  function unitOf(data, layer, unit, widths, size, left, top) {
    const canvas = canvasOf(size, size);
    const value = h('span', { class: 'value number' });
    const name = nameOf(data, widths, layer, unit);
    const button = h('button', { type: 'button', class: 'unit', title: name, 'aria-label': name, disabled: layer === 0, onclick: () => choose(layer - 1, unit) }, canvas, value);
    Object.assign(button.style, { left: `${left}px`, top: `${top}px`, width: `${size}px`, height: `${size}px` });
    return { button, canvas, value };
  }

  function draw(data, frame, { widths, phases = null, phase = 0, chosen = [0, 0] }) {
    last = [data, frame, { widths, phases, phase, chosen }];
    layout(data, widths);
    const table = twoSided();
    let at = 0;
    widths.forEach((count, layer) => {
      for (let unit = 0; unit < count; unit += 1) {
        const { canvas, button, value } = units.get(`${layer}.${unit}`);
        if (layer === 0) paint(canvas, 12, inputField(unit, table));
        else if (layer < widths.length - 1) {
          const picture = frame.units[at];
          at += 1;
          paint(canvas, frame.points, oneField(bytes(picture), twoSided(zeroOf(picture))));
        } else outputPicture(canvas, frame, unit, count, table);
        button.setAttribute('aria-pressed', String(layer - 1 === chosen[0] && unit === chosen[1]));
        value.textContent = shown(phases, phase, layer, unit);
      }
    });
    holder.dataset.phase = phase;
    links(frame, widths, phases, phase, chosen);
  }

  function links(frame, widths, phases, phase, chosen) {
    const source = phases && phase ? phases.layers : frame.layers;
    const which = phase === 2 ? 'dweight' : phase === 3 ? 'new_weight' : 'weight';
    const top = Math.max(1e-9, ...source.flatMap((layer) => layer[which].flat().map(Math.abs)));
    const paths = [];
    source.forEach((layer, number_) => layer[which].forEach((row, from) => row.forEach((weight, to) => {
      const [one, other] = [units.get(`${number_}.${from}`), units.get(`${number_ + 1}.${to}`)];
      const [x0, y0, x1, y1] = [one.left + one.size, one.top + one.size / 2, other.left, other.top + other.size / 2];
      const bend = (x1 - x0) * 0.45;
      const share = Math.min(1, Math.abs(weight) / top);
      const own = number_ === chosen[0] && to === chosen[1];
      paths.push([share, svg('path', {
        d: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`, class: `${phase === 2 ? 'slope' : weight < 0 ? 'minus' : 'plus'}${own ? ' own' : ''}`,
        'stroke-width': (0.4 + 5 * share).toFixed(2), 'stroke-opacity': (0.2 + 0.65 * share).toFixed(2),
      }, svg('title', {}, `${phase === 2 ? 'dL/dw' : 'w'} = ${number(weight)}`))]);
    })));
    lines.replaceChildren(...paths.sort((a, b) => a[0] - b[0]).map(([, path]) => path));
  }

  const watcher = new ResizeObserver(() => { if (last) draw(...last); });
  watcher.observe(holder);
  return { element: holder, draw, again: () => { if (last) { shape = ''; draw(...last); } }, end: () => watcher.disconnect() };
}

/** What a unit is called: x₁, hidden 1.2, output 3. */
export function nameOf(data, widths, layer, unit) {
  if (layer === 0) return data.names[unit];
  if (layer < widths.length - 1) return `hidden ${layer}.${unit + 1}`;
  return widths.at(-1) > 1 ? `output ${data.classes[unit] ?? unit + 1}` : 'output';
}

function inputField(unit, table) {
  return (k) => table[Math.round(((unit ? 11 - Math.floor(k / 12) : k % 12) / 11) * 255)];
}

function outputPicture(canvas, frame, unit, count, table) {
  const shares = frame.shares.map(bytes);
  if (shares.length > 1) paint(canvas, frame.points, shareField(shares[unit], unit));
  else paint(canvas, frame.points, oneField(count > 1 && unit === 0 ? shares[0].map((value) => 255 - value) : shares[0], table));
}

function shown(phases, phase, layer, unit) {
  if (!phases || !phase) return '';
  if (layer === 0) return phase === 3 ? '' : number(phases.x[unit], 3);
  const one = phases.layers[layer - 1];
  if (phase === 1) return number((one.a ?? one.z)[unit], 3);
  return phase === 2 ? `δ ${number(one.dz[unit], 2)}` : '';
}
