// The charts of Watch: of several runs where they can be compared, of the first one's layers where there are many lines.
import { line } from '../charts.js';
import { paced } from '../pace.js';
import { count, h, number, percent, plural, write } from '../parts.js';

const COLOURS = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8'];

export class Panel {
  constructor(place, options, changed) {
    Object.assign(this, { options, changed });
    this.charts = new Map();
    this.picked = null;
    this.loss = h('div', { class: 'card wide' });
    this.many = h('div', { class: 'grid' });
    this.sampling = h('p', { class: 'muted small sampling' });
    place.replaceChildren(this.loss, this.many, this.sampling);
    this.loss.append(this.switches());
    this.pace = paced(() => this.draw());
  }

  switches() {
    const choice = (name, entries, now, pick) => {
      const group = h('div', { class: 'choice', role: 'group', 'aria-label': name });
      group.append(...entries.map(([value, text]) => h('button', {
        type: 'button', 'aria-pressed': value === now(),
        onclick: () => {
          pick(value);
          [...group.children].forEach((button, at) => button.setAttribute('aria-pressed', entries[at][0] === now()));
        },
      }, text)));
      return group;
    };
    this.logChoice = choice('Loss axis', [[false, 'linear'], [true, 'log']], () => this.options.log, (value) => this.set({ log: value }));
    return h('div', { class: 'row switches' },
      choice('Horizontal axis', [['step', 'steps'], ['epoch', 'epochs']], () => this.options.x, (value) => this.set({ x: value })), this.logChoice);
  }

  toggleLog() {
    this.logChoice.children[this.options.log ? 0 : 1].click();
  }

  set(change) {
    Object.assign(this.options, change);
    this.changed();
    this.draw();
  }

  /** Show runs; soon. */
  show(chosen) {
    this.chosen = chosen;
    this.pace.ask();
  }

  draw() {
    if (!this.chosen?.length) return;
    const kept = new Set();
    const draw = (place, key, options, tables, said) => {
      kept.add(key);
      const form = JSON.stringify([options.title, options.x, options.log, options.series]);
      let chart = this.charts.get(key);
      if (chart?.form !== form) {
        const card = chart?.card ?? (place === this.loss ? place : place.appendChild(h('div', { class: 'card' })));
        chart?.line.destroy();
        chart = { form, card, line: line(card, { sync: 'watch', ...options }) };
        this.charts.set(key, chart);
      }
      chart.line.update(tables, said);
    };
    this.drawLoss(draw);
    this.drawEpochs(draw);
    this.drawObserved(draw);
    for (const [key, { line: drawn, card }] of this.charts) {
      if (kept.has(key)) continue;
      drawn.destroy();
      card.remove();
      this.charts.delete(key);
    }
    write(this.sampling, this.said());
  }

  get several() {
    return this.chosen.length > 1;
  }

  called(run, text) {
    return this.several ? `${run.name}: ${text}` : text;
  }

  drawLoss(draw) {
    const x = this.options.x, series = [], tables = [];
    this.chosen.forEach(({ run, course }, at) => {
      const own = COLOURS[at], held = this.several ? own : 's2';
      series.push({ label: this.called(run, 'each step'), colour: own, faint: true, width: 1 });
      tables.push(course.stepLosses(x));
      series.push({ label: this.called(run, 'training, by epoch'), colour: own, width: 2 });
      tables.push(course.byEpoch('loss', x));
      if (course.epochs.some((each) => each.validation_loss != null)) {
        series.push({ label: this.called(run, 'validation'), colour: held, width: 2, dash: [6, 4] });
        tables.push(course.byEpoch('validation_loss', x));
      }
    });
    // a loss of one's own may be 0 or less, which has no logarithm
    const log = this.options.log && !tables.some(([, ys]) => ys.some((y) => y != null && y <= 0));
    const wide = matchMedia('(min-width: 900px)').matches;
    draw(this.loss, 'loss', { title: 'Loss', x, series, log, height: wide ? 300 : 240, pick: (step) => { this.picked = this.asStep(step); } }, tables);
  }

  asStep(x) {
    const batches = this.chosen[0]?.course.batches ?? 1;
    return Math.max(0, Math.min(Math.round(this.options.x === 'epoch' ? x * batches : x), this.chosen[0].run.step));
  }

  drawEpochs(draw) {
    const x = this.options.x;
    const names = [...new Set(this.chosen.flatMap(({ course }) => course.metrics()))].slice(0, 3);
    for (const name of names) {
      this.eachRun(draw, `metric ${name}`, name.replaceAll('_', ' '), (course) => course.byEpoch(name, x));
    }
    this.eachRun(draw, 'rate', 'Learning rate', (course) => {
      const seen = course.observed((each) => each.learning_rate, x);
      return seen[0].length > course.epochs.length ? seen : course.byEpoch('learning_rate', x);
    });
  }

  eachRun(draw, key, title, of, options = {}) {
    const tables = this.chosen.map(({ course }) => of(course));
    if (!tables.some(([xs]) => xs.length)) return;
    const series = this.chosen.map(({ run }, at) => ({ label: this.several ? run.name : title.toLowerCase(), colour: COLOURS[at], width: 2 }));
    draw(this.many, key, { title, x: this.options.x, series, ...options }, tables);
  }

  drawObserved(draw) {
    const x = this.options.x, { course, run } = this.chosen[0];
    const last = course.observations.at(-1);
    if (!last) return;
    const weights = chief(Object.keys(last.parameters ?? {}));
    const layers = Object.keys(last.activations ?? {}).filter((name) => last.activations[name].units > 1 && !/(^|\.)dropout/.test(name));
    const of = this.several ? ` of ${run.name}` : '';
    const lines = (key, title, names, value, options = {}) => {
      const shown = evenly(names, COLOURS.length);
      const left = names.length - shown.length;
      if (!shown.length) return;
      draw(this.many, key, {
        title: title + of, x, ...options, series: shown.map((name, at) => ({ label: name || 'network', colour: COLOURS[at] })),
      }, shown.map((name) => course.observed((seen) => value(seen, name), x)), [options.note, left ? `${count(left)} more ${left === 1 ? 'is' : 'are'} not drawn.` : ''].filter(Boolean).join(' '));
    };
    lines('gradients', 'Gradient norm ‖dL/dw‖', weights, (seen, name) => seen.parameters[name]?.gradient, { log: true });
    lines('ratios', 'Update to weight ‖Δw‖ / ‖w‖', weights, (seen, name) => seen.parameters[name]?.ratio || null, { log: true, note: 'Near 0.001 is usual.' });
    lines('spread', 'Activation spread', layers, (seen, name) => seen.activations[name]?.spread, { note: 'Standard deviation over rows and units.' });
    lines('dead', 'Dead units', layers, (seen, name) => share(seen.activations[name]), { format: percent, note: 'The same for every row looked at.' });
    this.eachRun(draw, 'time', 'Time of a step, ms', (each) => each.observed((seen) => seen.step_seconds && 1000 * seen.step_seconds, x), { log: true });
  }

  /** How the numbers were sampled, in a sentence. */
  said() {
    const { course } = this.chosen[0];
    const drawn = course.losses.xs.length, all = course.step;
    const losses = drawn < all
      ? `Of ${count(all)} losses ${count(drawn)} are drawn: the lowest and the highest of each stretch of steps, so that no peak is lost.`
      : `The losses of all ${count(all)} steps are drawn.`;
    const { sampling } = course.observations.at(-1) ?? {};
    if (!sampling) return `${losses} This run was not observed while it trained (--lab or --observe does that); “Look inside” computes any of its steps again.`;
    return `${losses} Norms, spreads and dead units are looked at between steps, on ${count(sampling.rows)} of ${plural(sampling.of, 'row')}: `
      + `the last look took ${number(1000 * sampling.seconds, 2)} ms, and the next comes after ${number(sampling.next_after, 2)} s, `
      + `so that looking takes less than ${percent(sampling.budget)} of the time. “Look inside” has every number of any step, exactly.`;
  }

  end() {
    this.pace.end();
    for (const { line: drawn } of this.charts.values()) drawn.destroy();
  }
}

/** The weights among the parameters: of biases only where there is nothing else. */
function chief(names) {
  const found = names.filter((name) => !name.endsWith('bias'));
  return found.length ? found : names;
}

function evenly(names, most) {
  if (names.length <= most) return names;
  return Array.from({ length: most }, (_, at) => names[Math.round(at * (names.length - 1) / (most - 1))]);
}

function share(layer) {
  return layer?.units ? layer.dead / layer.units : null;
}
