// Forward, backward, update: one step of the descent with its numbers in the formulas.
import { h, number, signed } from '../parts.js';
import { nameOf } from './network.js';

const TITLES = [
  ['Forward', 'from the inputs to the loss'],
  ['Backward', 'the loss’s slope, layer by layer back to every weight'],
  ['Update', 'a step downhill'],
];

/** Buttons of the three phases; `go(phase)` is called with 1, 2 or 3. */
export function phaseButtons(phase, go) {
  return h('div', { class: 'phases', role: 'group', 'aria-label': 'The phases of a step' }, ...TITLES.map(([name], k) => h('button', {
    type: 'button', id: `play-phase-${k + 1}`, class: `phase p${k + 1}`, 'aria-pressed': String(phase === k + 1), onclick: () => go(k + 1),
  }, h('b', {}, String(k + 1)), name)));
}

/** The panel of one unit: three formulas, and a table of its weights. */
export function opened(data, widths, phases, phase, [layer, unit], turn) {
  if (!phases || !phase) {
    return h('p', { class: 'muted hint' }, 'Take one step apart: press ', h('b', {}, 'Forward'), ', then ', h('b', {}, 'Backward'), ', then ', h('b', {}, 'Update'), '. Click a unit to see its numbers, or a ringed row to follow it.');
  }
  const one = phases.layers[layer];
  const inputs = layer ? phases.layers[layer - 1].a : phases.x;
  const name = nameOf(data, widths, layer + 1, unit);
  const target = data.classes.length ? data.classes[phases.target] : number(phases.target);
  return h('div', { class: 'opened' },
    h('div', { class: 'row between' },
      h('h2', {}, `Step ${number(phases.step)}, unit ${name}`),
      h('div', { class: 'row small' },
        h('button', { type: 'button', class: 'tiny', 'aria-label': 'the row before', onclick: () => turn(-1) }, '‹'),
        h('span', {}, `row ${phases.place + 1} of ${phases.rows.length} in this step · ${data.target} ${target}`),
        h('button', { type: 'button', class: 'tiny', 'aria-label': 'the next row', onclick: () => turn(1) }, '›'))),
    h('ol', { class: 'formulas' },
      forward(phases, one, inputs, unit, layer, widths),
      phase >= 2 ? backward(phases, one, unit, layer, widths) : null,
      phase >= 3 ? update(phases, one, unit) : null),
    weights(data, widths, phases, phase, one, inputs, layer, unit));
}

const part = (k, ...children) => h('li', { class: `formula p${k}` }, h('b', {}, TITLES[k - 1][0]), h('span', { class: 'muted' }, ` ${TITLES[k - 1][1]}`), ...children);
const line = (...children) => h('div', { class: 'line number' }, ...children);

function sum(terms) {
  const most = 4;
  const shown = terms.slice(0, most).map(([a, b]) => `${bracket(a)}·${bracket(b)}`);
  return shown.join(' + ') + (terms.length > most ? ` + … (${terms.length} terms)` : '');
}

const bracket = (value) => (value < 0 ? `(${number(value, 3)})` : number(value, 3));

function forward(phases, one, inputs, unit, layer, widths) {
  const terms = inputs.map((value, k) => [value, one.weight[k][unit]]);
  const last = layer === widths.length - 2;
  return part(1,
    line(`z = Σ a·w + b = ${sum(terms)} + ${bracket(one.bias[unit])} = `, h('strong', {}, number(one.z[unit]))),
    last ? line(`${phases.loss_name} of this row = `, h('strong', {}, number(phases.losses[phases.place])), `, mean over the step’s ${phases.rows.length} rows: L = `, h('strong', {}, number(phases.loss)))
      : line(`a = ${phases.activation}(z) = ${phases.activation}(${number(one.z[unit])}) = `, h('strong', {}, number(one.a[unit]))));
}

function backward(phases, one, unit, layer, widths) {
  if (layer === widths.length - 2) {
    return part(2,
      line('δ = dL/dz = ', h('strong', {}, number(one.dz[unit])), `  (this row’s part of the mean over ${phases.rows.length})`),
      line('dL/dw = Σ over rows a·δ: in the table'));
  }
  const next = phases.layers[layer + 1];
  const terms = next.dz.map((slope, k) => [slope, next.weight[unit][k]]);
  const ratio = one.da[unit] ? one.dz[unit] / one.da[unit] : null;
  return part(2,
    line(`dL/da = Σ δ·w of the next layer = ${sum(terms)} = `, h('strong', {}, number(one.da[unit]))),
    line(`δ = dL/dz = dL/da · ${phases.activation}′(z) = ${bracket(one.da[unit])}${ratio == null ? '' : ` · ${bracket(ratio)}`} = `, h('strong', {}, number(one.dz[unit]))),
    line('dL/dw = Σ over rows a·δ: in the table'));
}

function update(phases, one, unit) {
  const { name, paper, scalars } = phases.rule;
  const plain = name === 'sgd' && !Object.keys(one.weight_slots).length;
  const [w, dw, next] = [one.weight[0][unit], one.dweight[0][unit], one.new_weight[0][unit]];
  return part(3,
    plain ? line(`w ← w − η·dw = ${bracket(w)} − ${number(scalars.lr)}·${bracket(dw)} = `, h('strong', {}, number(next)))
      : line(`w ← ${name}(w, dw, state) = ${number(w)} ${signed(next - w)} = `, h('strong', {}, number(next)), `   (${Object.entries(scalars).map(([key, value]) => `${key} ${number(value)}`).join(', ')})`),
    plain ? null : h('div', { class: 'muted small' }, paper));
}

function weights(data, widths, phases, phase, one, inputs, layer, unit) {
  const slots = phase >= 3 ? Object.keys(one.weight_slots) : [];
  const head = (text, k, title) => h('th', { scope: 'col', class: `number p${k}`, title }, text);
  const cell = (value, k, digits = 4) => h('td', { class: `number p${k}` }, number(value, digits));
  const rows = [...inputs.map((value, k) => ({
    from: nameOf(data, widths, layer, k), a: value, w: one.weight[k][unit], dw: one.dweight[k][unit], next: one.new_weight[k][unit],
    state: slots.map((slot) => one.weight_slots[slot].after[k][unit]),
  })), {
    from: 'bias', a: 1, w: one.bias[unit], dw: one.dbias[unit], next: one.new_bias[unit], state: slots.map((slot) => one.bias_slots[slot].after[unit]),
  }];
  return h('div', { class: 'scroll' }, h('table', { class: 'weights' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'from'), head('a', 1, 'what comes in'), head('w', 1), head('a·w', 1),
      ...(phase >= 2 ? [head('a·δ', 2, 'this row’s share of the gradient'), head('dL/dw', 2, 'the sum over all rows of the step')] : []),
      ...slots.map((slot) => head(slot, 3)),
      ...(phase >= 3 ? [head('change', 3), head('new w', 3)] : []))),
    h('tbody', {}, ...rows.map(({ from, a, w, dw, next, state }) => h('tr', {}, h('th', { scope: 'row' }, from), cell(a, 1), cell(w, 1), cell(a * w, 1),
      ...(phase >= 2 ? [cell(a * one.dz[unit], 2, 3), cell(dw, 2)] : []),
      ...state.map((value) => cell(value, 3, 3)),
      ...(phase >= 3 ? [h('td', { class: 'number p3' }, signed(next - w, 3)), cell(next, 3)] : []))))));
}
