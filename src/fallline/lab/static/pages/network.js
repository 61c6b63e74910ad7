// Network: a run's layers, and what flowed through them at any step: values forwards, then gradients back.
import { count, h, mistake, number, short, still, style } from '../parts.js';
import { Picture } from './network-picture.js';
import { Panel } from './network-panel.js';

export const title = 'Network';
const ROWS = 8;
const LIVE = ['running', 'paused'], GROW = 5000; // milliseconds

export async function mount(main, { api, keep, rest, state, keys }) {
  await style('pages/network.css');
  const runs = await api('runs');
  if (!runs.length) {
    main.replaceChildren(h('div', { class: 'empty' }, h('h1', {}, 'No network to look into yet'),
      h('p', {}, 'Train one; every step of it can be looked at afterwards:'),
      h('code', {}, 'fallline train penguins --target species --lab')));
    return undefined;
  }
  const chosen = runs.find(({ id }) => id === rest[0]) ?? [...runs].sort((a, b) => String(b.created ?? '').localeCompare(String(a.created ?? '')))[0];
  const page = new Network(main, { api, keep, state, runs, run: chosen });
  keys([
    { key: ' ', text: 'play, or pause', run: () => page.play() },
    { key: 'p', text: 'the same', run: () => page.play() },
    { key: 'ArrowRight', text: 'one layer on', run: () => page.picture?.move(1) },
    { key: 'ArrowLeft', text: 'one layer back', run: () => page.picture?.move(-1) },
    { key: ']', text: 'the next training step', run: () => page.go(page.step + 1) },
    { key: '[', text: 'the training step before', run: () => page.go(page.step - 1) },
    { key: 'r', text: 'the next row of the batch', run: () => page.row((page.shown.row + 1) % (page.flow?.rows.length ?? 1)) },
  ]);
  await page.open();
  return () => page.end();
}

class Network {
  constructor(main, { api, keep, state, runs, run }) {
    Object.assign(this, { main, api, keep, runs, run });
    this.step = whole(state.step);
    this.shown = { row: whole(state.row) ?? 0, member: whole(state.member) ?? 0, weight: state.weight ?? '' };
    this.ended = false;
  }

  async open() {
    this.picture?.end();
    this.network = await this.api(`runs/${this.run.id}/network`);
    if (this.ended) return;
    this.build();
    this.picture = new Picture(this.drawing, this.network, {
      unit: (column, unit) => this.panel.unit(column, unit), layer: (name) => this.panel.layer(name),
      weight: (name) => this.weight(name), phase: (text, share, playing) => this.phase(text, share, playing),
    });
    this.panel = new Panel(this.side, this.network, (name) => this.weight(name));
    this.picture.draw();
    if (LIVE.includes(this.run.status)) this.timer ??= setInterval(() => this.grow(), GROW);
    if (!this.network.steps) {
      this.said.replaceChildren(h('p', { class: 'muted' }, this.network.refusal ?? 'The run has taken no step yet.'));
      this.panel.layer(this.network.stages[0]?.name);
      this.controls.hidden = true;
      return;
    }
    this.step = Math.min(this.step ?? this.network.steps - 1, this.network.steps - 1);
    await this.go(this.step, true);
  }

  /** Steps that a training has taken meanwhile can be gone to. */
  async grow() {
    if (this.ended || document.hidden || this.busy) return;
    try {
      const { steps } = await this.api(`runs/${this.run.id}/network`);
      if (!steps || this.ended) return;
      if (!this.network.steps) return void await this.open(); // its first steps
      this.network.steps = steps;
      this.slider.max = this.field.max = steps - 1;
    } catch { /* the shell says that the lab is away */ }
  }

  build() {
    const { network, run } = this;
    const pick = h('select', { 'aria-label': 'Run', onchange: ({ target }) => { location.hash = `#/network/${target.value}`; } },
      this.runs.map(({ id, name }) => h('option', { value: id, selected: id === run.id }, name)));
    const last = network.steps - 1;
    this.slider = h('input', { type: 'range', min: 0, max: Math.max(last, 0), step: 1, 'aria-label': 'Training step', oninput: ({ target }) => this.go(Number(target.value)) });
    this.field = h('input', { type: 'number', min: 0, max: Math.max(last, 0), 'aria-label': 'Training step, by number', onchange: ({ target }) => this.go(Number(target.value)) });
    this.about = h('p', { class: 'muted small', 'aria-live': 'polite' });
    this.said = h('div', { 'aria-live': 'polite' });
    this.rowPick = h('select', { 'aria-label': 'Row of the batch', onchange: ({ target }) => this.row(Number(target.value)) });
    const members = Math.max(...network.columns.map(({ positions }) => positions));
    const memberPick = members > 1 ? h('label', {}, 'member', h('input', {
      type: 'number', min: 1, max: members, value: Math.min(this.shown.member, members - 1) + 1, class: 'narrow',
      onchange: ({ target }) => { this.shown.member = Math.max(0, Math.min(members, Number(target.value)) - 1); this.go(this.step, true); },
    }), h('span', { class: 'muted' }, `of ${members}`)) : null;
    const button = (text, label, action) => h('button', { type: 'button', 'aria-label': label, title: label, class: 'round', onclick: action }, text);
    this.playButton = button('▶', 'Play (space)', () => this.play());
    this.phaseText = h('span', { class: 'phase', 'aria-live': 'polite' });
    this.phaseBar = h('input', { type: 'range', min: 0, max: 1000, value: 0, 'aria-label': 'Through the two passes', oninput: ({ target }) => this.picture.seek(target.value / 1000) });
    this.controls = h('div', { class: 'transport' },
      h('div', { class: 'row' }, button('‹', 'One layer back (←)', () => this.picture.move(-1)), this.playButton, button('›', 'One layer on (→)', () => this.picture.move(1))),
      this.phaseBar, this.phaseText);
    const pickers = h('div', { class: 'row pickers' }, h('label', {}, 'row', this.rowPick), memberPick);
    pickers.hidden = !network.steps;
    this.drawing = h('div', { class: 'drawing' });
    this.side = h('section', { class: 'card explanation', 'aria-label': 'Explanation' });
    this.find = h('input', { type: 'text', placeholder: example(network), 'aria-label': 'A weight by its name', spellcheck: 'false' });
    const beside = network.stages.filter(({ main }) => !main);
    this.main.replaceChildren(
      h('h1', { class: 'visually-hidden' }, 'Network'),
      h('div', { class: 'card scrub' },
        h('div', { class: 'row' }, h('label', {}, h('span', { class: 'visually-hidden' }, 'Run'), pick),
          h('span', { class: 'muted small' }, `${count(network.parameters)} weights and biases · ${short(network.multiply_adds)} multiply-adds a row · ${called(network)}`)),
        network.steps ? h('div', { class: 'steps' }, h('span', {}, 'Step'), this.slider, this.field) : null, this.about, this.said),
      h('div', { class: 'card stage' }, this.drawing, this.controls,
        h('div', { class: 'key' }, h('p', { class: 'row small muted' },
          h('span', {}, h('span', { class: 'dot plus' }), 'value above 0'), h('span', {}, h('span', { class: 'dot minus' }), 'below 0'),
          h('span', {}, h('span', { class: 'dot ring' }), '|dL/dz|'), h('span', {}, 'in shades of each layer’s largest')), pickers),
        beside.length ? h('div', { class: 'beside small' }, h('span', { class: 'muted' }, 'Beside this path:'), beside.map((stage) =>
          h('button', { type: 'button', onclick: () => this.panel.layer(stage.name) }, `${stage.name || 'network'} · ${count(stage.count)}`))) : null),
      h('div', { class: 'explain' },
        h('form', { class: 'row', onsubmit: (event) => { event.preventDefault(); if (this.find.value.trim()) this.weight(this.find.value.trim()); } },
          h('label', {}, 'Weight', this.find), h('button', { type: 'submit' }, 'Explain')), this.side));
  }

  play() {
    if (this.flow) this.picture.play();
  }

  phase(text, share, playing) {
    if (this.phaseText.textContent !== text) this.phaseText.textContent = text;
    this.phaseBar.value = Math.round(1000 * share);
    const sign = playing ? '❚❚' : '▶';
    if (this.playButton.textContent !== sign) this.playButton.textContent = sign;
  }

  /** Show a step. While one is computed, the last one asked for waits, and those between are left out. */
  async go(step, again = false) {
    if (!this.network?.steps) return;
    const wanted = Math.max(0, Math.min(Math.round(step) || 0, this.network.steps - 1));
    this.slider.value = this.field.value = wanted;
    if (wanted === this.step && this.flow && !again) return;
    this.step = wanted;
    if (this.busy) {
      this.waiting = true;
      return;
    }
    this.busy = true;
    const slow = setTimeout(() => { this.about.textContent = `Computing step ${count(this.step)} again …`; }, 300);
    try {
      do {
        this.waiting = false;
        const found = await this.api(`runs/${this.run.id}/step/${this.step}?rows=${ROWS}&member=${this.shown.member}`);
        if (this.ended) return;
        if (!this.waiting) this.take(found);
      } while (this.waiting);
    } catch (error) {
      this.about.textContent = '';
      this.said.replaceChildren(mistake(error));
    } finally {
      clearTimeout(slow);
      this.busy = false;
    }
  }

  take(flow) {
    const first = !this.flow;
    this.flow = flow;
    this.said.replaceChildren();
    this.shown.row = Math.min(this.shown.row, flow.rows.length - 1);
    const names = this.network.outputs;
    this.rowPick.replaceChildren(...flow.rows.map((numbered, at) => h('option', { value: at, selected: at === this.shown.row },
      `${count(numbered)}${names && names.length > 1 && names[flow.targets[at]] ? ` · ${names[flow.targets[at]]}` : ''}`)));
    this.about.textContent = `Epoch ${count(flow.epoch + 1)} · ${count(flow.batch)} rows, ${flow.rows.length} of them to choose from · loss ${number(flow.loss)} · η = ${number(flow.learning_rate, 3)} · computed again, with the bits of then`;
    this.picture.show(flow, this.shown.row);
    this.panel.show(flow, this.shown);
    if (first) {
      if (still()) this.picture.seek(1);
      else this.picture.play();
      if (!this.shown.weight) this.panel.layer(this.network.stages.find(({ main }) => main)?.name);
    }
    if (this.shown.weight) this.weight(this.shown.weight);
    this.remember();
  }

  row(at) {
    if (!this.flow) return;
    this.shown.row = at;
    this.rowPick.value = at;
    this.picture.show(this.flow, at);
    this.panel.show(this.flow, this.shown);
    this.remember();
  }

  async weight(name) {
    if (!this.network.steps) return;
    this.shown.weight = name;
    this.remember();
    this.find.value = name;
    const step = this.step, slow = setTimeout(() => this.panel.wait(name), 400);
    try {
      const found = await this.api(`runs/${this.run.id}/explain?step=${step}&weight=${encodeURIComponent(name)}`);
      if (this.ended || name !== this.shown.weight || step !== this.step) return;
      this.panel.weight(found);
      this.picture.mark(name);
    } catch (error) {
      if (!this.ended && name === this.shown.weight) this.panel.say(error);
    } finally {
      clearTimeout(slow);
    }
  }

  remember() {
    this.keep({ step: this.step, row: this.shown.row || '', member: this.shown.member || '', weight: this.shown.weight });
  }

  end() {
    this.ended = true;
    clearInterval(this.timer);
    this.picture?.end();
  }
}

function whole(text) {
  return /^\d{1,15}$/.test(text ?? '') ? Number(text) : undefined;
}

function called({ loss, optimizer }) {
  const inner = /loss='(\w+)'/.exec(loss ?? '');
  return [inner ? inner[1] : loss, optimizer?.name].filter(Boolean).join(' · ').replaceAll('_', ' ');
}

function example({ stages }) {
  const stage = stages.find(({ main, weight }) => main && weight);
  return stage ? `${stage.weight}[${stage.parameters[stage.weight].map(() => 0).join(',')}]` : '0.weight[0,0]';
}
