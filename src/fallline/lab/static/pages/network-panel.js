// What the page says of a layer, a unit or a weight.
import { count, h, mistake, number, percent, short, signed } from '../parts.js';

const LISTED = 10;

export class Panel {
  constructor(place, network, weight) {
    Object.assign(this, { place, network, askWeight: weight });
    this.stages = network.stages.filter(({ main }) => main);
  }

  /** A step's passes; what is open is told anew. */
  show(flow, shown) {
    Object.assign(this, { flow, shown });
    this.again?.();
  }

  put(again, ...children) {
    this.again = again;
    this.place.replaceChildren(...children.filter(Boolean));
  }

  say(error) {
    this.put(null, mistake(error));
  }

  wait(name) {
    this.put(null, h('h2', {}, name), h('p', { class: 'muted' }, 'Computing its step again …'));
  }

  layer(name) {
    const stage = this.network.stages.find((each) => each.name === name);
    if (!stage) return;
    const sizes = (this.flow?.sizes ?? []).filter((each) => each.name in stage.parameters);
    const rows = Object.entries(stage.parameters).map(([parameter, shape]) => {
      const found = sizes.find((each) => each.name === parameter);
      return [parameter, shape.join(' × '), ...(found ? [number(found.weight, 3), number(found.gradient, 3), number(found.update, 3), percent(found.update / found.weight)] : [])];
    });
    const kinds = { linear: 'each unit is a weighted sum of what comes in', embedding: 'a row of numbers for each category', scale: 'each number by a factor of its own, and a sum' };
    this.put(() => this.layer(name),
      h('h2', {}, `Layer ${stage.name || 'network'}`, h('span', { class: 'muted' }, stage.module ? ` ${stage.module}` : '')),
      h('p', {}, `${kinds[stage.kind]}${stage.then.length ? `; then ${stage.then.join(', ')}` : ''}.`),
      h('p', { class: 'muted small' }, `${count(stage.count)} weights and biases, ${percent(stage.count / Math.max(this.network.parameters, 1))} of all · `
        + `${short(stage.multiply_adds)} multiply-adds a row, ${percent(stage.multiply_adds / Math.max(this.network.multiply_adds, 1))} of all`
        + `${stage.uses > 1 ? ` · applied ${count(stage.uses)} times` : ''} · comes from ${stage.sources.map((each) => each || 'network').join(', ') || 'x'}`),
      table(['parameter', 'shape', ...(sizes.length ? ['‖w‖', '‖dL/dw‖', '‖Δw‖', 'of w'] : [])], rows, 1),
      sizes.length ? h('p', { class: 'muted small' }, '‖ ‖ is the length of all of them together, √Σ². Click a unit or a line of the picture, or name a weight.') : null);
  }

  unit(column, unit) {
    if (!this.flow) return;
    const { row } = this.shown, columns = this.network.columns, stage = this.stages[column - 1];
    const at = columns[column].shown.indexOf(unit);
    const value = this.flow.columns[column][row][at];
    if (!stage) {
      const out = this.stages[0];
      this.put(() => this.unit(column, unit), h('h2', {}, `Input ${this.network.inputs?.[at] ?? unit}`),
        formula(['a', 'this row’s value'], ['=', ''], [number(value), '']),
        out?.kind === 'linear' ? h('p', { class: 'muted small' }, `It goes to each unit of layer ${out.name || 'network'}.`) : null);
      return;
    }
    const own = this.flow.stages[stage.name], z = own.given[row]?.[at], delta = own.deltas[row]?.[at];
    const bias = Object.keys(stage.parameters).find((name) => name !== stage.weight && name.endsWith('bias'));
    this.put(() => this.unit(column, unit),
      h('h2', {}, `Unit ${count(unit)} of layer ${stage.name || 'network'}`),
      h('dl', { class: 'trio' },
        h('div', {}, h('dt', {}, 'z, before'), h('dd', { class: 'number' }, number(z))),
        h('div', {}, h('dt', {}, `a, ${stage.then.length ? `after ${stage.then.join(', ')}` : 'handed on'}`), h('dd', { class: 'number forward' }, number(value))),
        h('div', {}, h('dt', {}, 'dL/dz'), h('dd', { class: 'number back' }, number(delta)))),
      this.incoming(stage, column, at),
      bias && stage.kind === 'linear' ? h('p', { class: 'small' }, 'Its bias: ', this.button(`${bias}[${biasPlace(stage, bias, own.prefix ?? [], unit)}]`)) : null);
  }

  incoming(stage, column, at) {
    const own = this.flow.stages[stage.name], { row } = this.shown;
    if (!own.weights) return null;
    const columns = this.network.columns, from = columns[column - 1].shown, unit = columns[column].shown[at];
    const entries = stage.kind === 'linear'
      ? from.map((input, i) => [input, own.weights[i][at], own.gradients[i][at], this.flow.columns[column - 1][row][i]])
      : [[unit, own.weights[at], own.gradients[at], this.flow.columns[column - 1][row][at]]];
    entries.sort((one, other) => Math.abs(other[1] * other[3]) - Math.abs(one[1] * one[3]));
    const rows = entries.slice(0, LISTED).map(([input, w, gradient, a]) => [
      this.button(`${stage.weight}[${[...own.prefix, ...(stage.kind === 'linear' ? [input, unit] : [unit])].join(',')}]`),
      number(a, 3), signed(w, 3), signed(a * w, 3), signed(gradient, 3)]);
    const all = columns[column - 1].units;
    return h('div', {}, table(['weight', 'a in', 'w', 'a · w', 'dL/dw'], rows, 1),
      h('p', { class: 'muted small' }, `The largest ${rows.length} of ${from.length < all && stage.kind === 'linear' ? `the ${from.length} drawn (of ${count(all)})` : count(entries.length)}, by a · w of this row. dL/dw is that of the batch.`));
  }

  button(name) {
    return h('button', { type: 'button', class: 'weight', 'data-weight': name, onclick: () => this.askWeight(name) }, name);
  }

  /** An explanation from the server: `fl.explain(…).to_json()`. */
  weight(found) {
    const { update } = found;
    this.put(null,
      h('h2', {}, found.weight, h('span', { class: 'muted' }, ` at step ${count(found.step)}`)),
      h('dl', { class: 'trio', 'data-explained': found.weight, 'data-step': found.step },
        h('div', {}, h('dt', {}, 'w'), h('dd', { class: 'number', 'data-number': 'before' }, exact(found.before))),
        h('div', {}, h('dt', {}, 'dL/dw'), h('dd', { class: 'number back', 'data-number': 'gradient' }, exact(found.gradient))),
        h('div', {}, h('dt', {}, 'w after the step'), h('dd', { class: 'number', 'data-number': 'after' }, exact(update?.after)))),
      found.where?.length ? h('p', { class: 'muted small' }, `It meets the data in ${found.where.join(', ')}.`) : null,
      ...sum(found), ...checked(found.check), ...pushes(found), ...opened(found.chain), ...updated(found));
  }
}

function sum(found) {
  const head = h('h3', {}, 'Backpropagation: how the loss changes with it');
  if (!found.parts?.length) return [head, h('p', { class: 'muted small' }, 'Its gradient is no plain sum of activation × delta over rows.')];
  const rounding = (found.rounding ?? []).reduce((one, other) => one + other, 0);
  return [head, table(['row', 'activation', 'delta', 'share'], [
    ...found.parts.map((part) => [part.row == null ? '' : count(part.row), number(part.factor), signed(part.delta), signed(part.share)]),
    ...(found.others?.count ? [[`${count(found.others.count)} more`, '', '', signed(found.others.sum)]] : []),
    ...(rounding ? [['rounding', '', '', signed(rounding, 2)]] : []),
    [h('strong', {}, 'dL/dw'), '', '', h('strong', {}, signed(found.gradient, 7))],
  ], 1)];
}

function checked(check) {
  if (!check) return [];
  const verdict = check.kink ? 'the loss has a kink here' : check.agrees ? 'the same, but for the rounding of the loss' : 'they differ';
  return [h('p', { class: 'muted small' }, `Measured by moving w in float64: ${signed(check.difference, 7)}; backpropagation in float64: ${signed(check.gradient, 7)}; ${verdict}.`)];
}

function pushes(found) {
  const told = (rows) => rows.map(({ row, share, place }) => `${place || count(row)} (${signed(share, 2)})`).join(', ');
  const lines = [['up', found.rows_up], ['down', found.rows_down]].filter(([, rows]) => rows?.length);
  return lines.map(([way, rows]) => h('p', { class: 'small' }, h('span', { class: 'muted' }, `Rows that push it ${way}: `), told(rows)));
}

/** The delta of the first part, opened layer by layer. */
function opened(chain) {
  if (!chain?.length) return [];
  return [h('details', {}, h('summary', {}, `Where the first delta comes from, in ${chain.length} steps back from it`),
    chain.map((each) => h('div', { class: 'opening' },
      h('p', { class: 'small' }, h('strong', {}, `δ of ${each.name}`), ` = `, h('span', { class: 'number back' }, signed(each.value)), h('span', { class: 'muted' }, ` through ${each.through}`)),
      table(['', 'factor', 'delta behind', 'share'], [
        ...each.terms.map((term) => [term.factor_name || term.delta_name, number(term.factor), signed(term.delta), signed(term.share)]),
        ...(each.others?.count ? [[`${count(each.others.count)} more`, '', '', signed(each.others.sum)]] : [])], 1),
      each.note ? h('p', { class: 'muted small' }, `${each.note}.`) : null)))];
}

function updated({ before, update }) {
  const head = h('h3', {}, 'Gradient descent: what is made of that');
  if (!update) return [head, h('p', { class: 'muted small' }, 'There is no update rule to tell of.')];
  const step = update.after - before;
  return [head,
    ...(update.lines ?? []).map((line) => h('div', { class: 'line' }, h('p', { class: 'number small' }, `${line.name} = ${line.formula}`),
      h('p', { class: 'number small muted' }, `= ${line.numbers}`), h('p', { class: 'number small' }, `= ${number(line.value, 7)}`),
      line.meaning ? h('p', { class: 'muted small' }, line.meaning) : null)),
    update.lines?.length ? null : h('p', { class: 'number small' }, `${number(before, 6)} ${step < 0 ? '−' : '+'} ${number(Math.abs(step), 6)} = ${number(update.after, 6)}`),
    h('p', { class: 'muted small' }, [update.rule, update.learning_rate == null ? '' : `η = ${number(update.learning_rate, 3)}`, update.paper ?? ''].filter(Boolean).join(' · '))];
}

/** All digits that a number has, so that it can be compared with Python's. */
export function exact(value) {
  return value == null ? '–' : String(value).replace('-', '−').replace('e-', 'e−');
}

function biasPlace(stage, bias, prefix, unit) {
  const shape = stage.parameters[bias];
  return shape.length === 3 ? `${prefix[0]},0,${unit}` : shape.length === 2 ? `${prefix[0]},${unit}` : unit;
}

function formula(...terms) {
  return h('p', { class: 'number formula' }, terms.map(([text]) => text).join(' '));
}

function table(heads, rows, from) {
  return h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, heads.map((text, at) => h('th', { class: at >= from ? 'number' : '' }, text)))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell, at) => h('td', { class: at >= from ? 'number' : '' }, cell)))))));
}
