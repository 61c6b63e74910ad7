// The picture of a network: units in columns, weights as lines; values light up forwards, gradients flow back.
import { between, FOOT, HEAD, markLine, near, strokes, toLoss } from './network-ink.js';
import { colour, count, h, number, onScheme, short, still, svg } from '../parts.js';

const PITCH = 15, LEAST = 112;
const SECONDS = 0.85; // of one layer

export class Picture {
  /** `told` has what is called: unit(column, unit), layer(name), weight(name), phase(text, share, playing). */
  constructor(place, network, told) {
    Object.assign(this, { place, network, told });
    this.stages = network.stages.filter(({ main }) => main);
    this.time = 0;
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.svg = svg('svg', { role: 'group', 'aria-label': 'Layers from left to right, inputs first' });
    this.tip = h('div', { class: 'tip', hidden: true });
    this.inner = h('div', { class: 'inner' }, this.canvas, this.svg, this.tip);
    place.replaceChildren(this.inner);
    this.sizes = new ResizeObserver(() => this.wide !== this.place.clientWidth && this.draw());
    this.sizes.observe(place);
    this.endScheme = onScheme(() => this.draw());
    this.inner.addEventListener('pointermove', (event) => this.hover(event));
    this.inner.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    this.inner.addEventListener('click', (event) => this.clicked(event));
    this.svg.addEventListener('keydown', (event) => this.pressed(event));
  }

  get phases() {
    return 2 * this.stages.length + 1; // forwards, the loss, backwards
  }

  /** Lay everything out for the width there is. */
  draw() {
    this.wide = this.place.clientWidth;
    const columns = this.network.columns;
    const left = this.network.inputs && this.wide > 760 ? 136 : 34;
    const names = this.network.outputs && this.wide > 520;
    const right = names ? 168 : 92;
    const gap = Math.max((this.wide - left - right) / Math.max(columns.length - 1, 1), LEAST);
    this.width = Math.max(this.wide, left + right + gap * (columns.length - 1));
    const most = Math.max(...columns.map(({ shown }) => shown.length), 6);
    this.height = HEAD + most * PITCH + FOOT;
    this.spots = columns.map(({ shown }, column) => {
      const pitch = Math.min(PITCH * 2.2, (most * PITCH) / shown.length);
      const top = HEAD + (most * PITCH - pitch * shown.length) / 2 + pitch / 2;
      return shown.map((_, at) => ({ x: left + gap * column, y: top + pitch * at }));
    });
    this.radius = 5.2;
    this.colours = { forward: colour('accent'), back: colour('warm'), faint: colour('line') };
    const scale = Math.min(devicePixelRatio || 1, 2);
    Object.assign(this.canvas, { width: this.width * scale, height: this.height * scale });
    for (const each of [this.canvas, this.svg, this.inner]) {
      each.style.width = `${this.width}px`;
      each.style.height = `${this.height}px`;
    }
    this.svg.setAttribute('viewBox', `0 0 ${this.width} ${this.height}`);
    this.pen = this.canvas.getContext('2d');
    this.pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.units = this.spots.map((spots, column) => spots.map((spot, at) => this.unit(spot, column, at)));
    this.lossBox = this.loss();
    this.svg.replaceChildren(...columns.map((each, column) => this.heading(each, column, gap)), ...this.units.flat().map(({ group }) => group), ...this.labels(names), this.lossBox.group);
    this.units[0]?.[0]?.group.setAttribute('tabindex', '0');
    if (this.flow) this.show(this.flow, this.row);
    else this.light();
  }

  heading({ units, shown }, column, gap) {
    const x = this.spots[column][0].x, stage = this.stages[column - 1];
    const what = stage ? stage.module || stage.kind : 'inputs', then = stage?.then.join(' · ') ?? '';
    const room = Math.max(Math.floor(gap / 7.6), 12);
    const lines = [
      svg('text', { x, y: 18, class: 'name' }, cut(stage ? stage.name || 'network' : 'x', room)),
      svg('text', { x, y: 34, class: 'what' }, cut(what, room)),
      svg('text', { x, y: 49, class: 'what' }, then ? cut(`→ ${then}`, room) : ''),
      svg('text', { x, y: 65, class: 'what' }, stage ? `${short(stage.multiply_adds)} ${gap < 122 ? 'mul-adds' : 'multiply-adds'}` : ''),
    ];
    if (stage) {
      const share = stage.multiply_adds / Math.max(this.network.multiply_adds, 1), bar = Math.min(gap - 26, 96);
      lines.push(svg('rect', { x: x - bar / 2, y: 72, width: bar, height: 3, rx: 1.5, class: 'cost' }),
        svg('rect', { x: x - bar / 2, y: 72, width: Math.max(bar * share, 1.5), height: 3, rx: 1.5, class: 'cost part' }));
    }
    const foot = shown.length < units ? `${count(units)} units, ${shown.length} shown` : `${count(units)} unit${units === 1 ? '' : 's'}`;
    lines.push(svg('text', { x, y: this.height - 12, class: 'what' }, foot));
    if (!stage) return svg('g', {}, lines);
    const open = () => this.told.layer(stage.name);
    return svg('g', {
      class: 'layer', role: 'button', tabindex: 0, 'data-layer': stage.name,
      'aria-label': `Layer ${stage.name || 'network'}: ${[what, ...stage.then].join(', ')}; ${count(stage.count)} weights and biases`,
      onclick: (event) => { event.stopPropagation(); open(); }, onkeydown: (event) => enter(event, open),
    }, svg('rect', { x: x - gap / 2 + 5, y: 2, width: gap - 10, height: 77, rx: 8, class: 'hit' }), lines);
  }

  unit({ x, y }, column, at) {
    const number = this.network.columns[column].shown[at], r = this.radius;
    const disk = svg('circle', { cx: x, cy: y, r, class: 'disk' });
    const hole = svg('circle', { cx: x, cy: y, r: r * 0.48, class: 'hole' });
    const ring = svg('circle', { cx: x, cy: y, r: r + 2.1, class: 'ring' });
    const group = svg('g', {
      class: 'unit', role: 'button', tabindex: -1, 'data-column': column, 'data-unit': number,
      'aria-label': column ? `Unit ${number} of layer ${this.stages[column - 1].name || 'network'}` : `Input ${this.network.inputs?.[at] ?? number}`,
    }, svg('circle', { cx: x, cy: y, r: Math.max(r + 2, 7), class: 'hit' }), svg('circle', { cx: x, cy: y, r, class: 'shell' }), disk, hole, ring);
    return { group, disk, hole, ring };
  }

  labels(names) {
    const found = [];
    const say = (column, texts, anchor, off, room) => texts.forEach((text, at) => found.push(
      svg('text', { x: this.spots[column][at].x + off, y: this.spots[column][at].y + 3.8, class: `label ${anchor}` }, cut(String(text), room))));
    if (this.network.inputs && this.wide > 760) say(0, this.network.inputs, 'end', -13, 17);
    if (names) say(this.spots.length - 1, this.network.outputs, 'start', 13, 10);
    return found;
  }

  loss() {
    const y = HEAD + (this.height - HEAD - FOOT) / 2, x = this.width - 40;
    const value = svg('text', { x, y: y + 12, class: 'value' }, '');
    return { value, group: svg('g', { class: 'loss' }, svg('rect', { x: x - 34, y: y - 24, width: 68, height: 48, rx: 10 }), svg('text', { x, y: y - 6, class: 'what' }, 'loss'), value) };
  }

  /** A step's passes, for one of its rows. */
  show(flow, row) {
    this.flow = flow;
    this.row = row;
    const peak = (arrays) => Math.max(...arrays.flat().map((value) => Math.abs(value ?? 0)), 1e-30);
    this.peaks = flow.columns.map(peak);
    this.deltaPeaks = this.stages.map(({ name }) => peak(flow.stages[name].deltas));
    this.lines = this.stages.map((stage, at) => between(this, stage, at));
    const own = flow.row_losses?.[row];
    this.lossBox.value.textContent = number(own ?? flow.loss, 3);
    this.light();
  }

  play() {
    if (this.playing) return void this.pause();
    if (this.time >= this.phases - 0.01) this.time = 0;
    if (still()) return void this.seek(1);
    this.playing = true;
    let last = performance.now();
    const frame = (now) => {
      if (!this.playing) return;
      this.time = Math.min(this.time + Math.max(now - last, 0) / 1000 / SECONDS, this.phases);
      last = now;
      if (this.time >= this.phases) this.playing = false;
      this.light();
      if (this.playing) this.frame = requestAnimationFrame(frame);
    };
    this.frame = requestAnimationFrame(frame);
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.light();
  }

  /** To a share of the way. */
  seek(share) {
    this.pause();
    this.time = share * this.phases;
    this.light();
  }

  /** To the next or the last moment at which a layer is complete. */
  move(step) {
    this.pause();
    const at = step > 0 ? Math.floor(this.time + 1.001) : Math.ceil(this.time - 1.001);
    this.time = Math.max(0, Math.min(at, this.phases));
    this.light();
  }

  words() {
    const layers = this.stages.length, at = this.time;
    const name = (k) => this.stages[k].name || 'network';
    if (!this.flow) return '';
    if (at >= this.phases) return 'both passes, whole';
    if (at < layers) return `forwards through ${name(Math.min(Math.floor(at), layers - 1))}`;
    if (at < layers + 1) return 'the loss';
    return `backwards through ${name(Math.max(layers - 1 - Math.floor(at - layers - 1), 0))}`;
  }

  /** Draw the moment `time`. */
  light() {
    const { pen } = this, layers = this.stages.length;
    if (!pen) return;
    pen.clearRect(0, 0, this.width, this.height);
    this.told.phase(this.words(), this.time / this.phases, Boolean(this.playing));
    if (!this.flow) return;
    const done = this.time >= this.phases;
    this.stages.forEach((_, k) => {
      const ahead = clamp(this.time - k), behind = clamp(this.time - layers - 1 - (layers - 1 - k));
      if (ahead > 0) strokes(this, k, 'forward', ahead, done ? 0.45 : behind > 0 ? 0.16 : this.time > layers + 1 ? 0.3 : 0.75, false);
      if (behind > 0) strokes(this, k, 'back', behind, done ? 0.6 : 0.85, true);
    });
    toLoss(this, clamp(this.time - layers), done ? 0.5 : 0.8);
    markLine(this);
    this.units.forEach((column, k) => this.lightColumn(column, k, k ? clamp((this.time - k + 0.35) / 0.35) : 1,
      k ? clamp((this.time - layers - 1 - (layers - k) + 0.3) / 0.3) : 0));
    this.lossBox.group.classList.toggle('lit', this.time > layers + 0.2);
  }

  lightColumn(units, k, shine, glow) {
    const values = this.flow.columns[k][this.row], name = this.stages[k - 1]?.name;
    const deltas = k ? this.flow.stages[name].deltas[this.row] : null;
    units.forEach(({ disk, hole, ring }, at) => {
      const value = values[at] ?? 0, size = shine * Math.sqrt(Math.abs(value) / this.peaks[k]);
      disk.setAttribute('opacity', size.toFixed(2));
      hole.setAttribute('opacity', value < 0 ? Math.min(1, size * 2).toFixed(2) : '0');
      const delta = at < (deltas?.length ?? 0) ? Math.abs(deltas[at] ?? 0) / this.deltaPeaks[k - 1] : 0;
      ring.setAttribute('opacity', (glow * Math.sqrt(delta)).toFixed(2));
    });
  }

  /** Show which line a weight is. */
  mark(name) {
    this.marked = name;
    this.light();
  }

  /** A line's weight, as people write it. */
  spelled(k, { i, j }) {
    const stage = this.stages[k], { prefix } = this.flow.stages[stage.name];
    const units = [this.network.columns[k].shown[i], this.network.columns[k + 1].shown[j]];
    return `${stage.weight}[${[...prefix, ...(stage.kind === 'linear' ? units : [units[1]])].join(',')}]`;
  }

  hover(event) {
    const found = event.target.closest('.unit, .layer') ? null : near(this, event);
    this.inner.classList.toggle('over', Boolean(found));
    this.tip.hidden = !found;
    if (!found) return;
    this.tip.textContent = `${this.spelled(found.k, found.one)} = ${number(found.one.w)}`;
    this.tip.style.left = `${Math.min(found.x + 12, this.width - 190)}px`;
    this.tip.style.top = `${Math.max(found.y - 34, 4)}px`;
  }

  clicked(event) {
    const unit = event.target.closest('.unit');
    if (unit) return void this.told.unit(Number(unit.dataset.column), Number(unit.dataset.unit));
    const found = near(this, event);
    if (found) this.told.weight(this.spelled(found.k, found.one));
  }

  pressed(event) {
    const unit = event.target.closest('.unit');
    if (!unit) return;
    enter(event, () => this.told.unit(Number(unit.dataset.column), Number(unit.dataset.unit)));
    const move = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const column = Math.max(0, Math.min(Number(unit.dataset.column) + move[0], this.units.length - 1));
    const at = this.units[Number(unit.dataset.column)].findIndex(({ group }) => group === unit) + move[1];
    const next = this.units[column][Math.max(0, Math.min(at, this.units[column].length - 1))].group;
    unit.setAttribute('tabindex', '-1');
    next.setAttribute('tabindex', '0');
    next.focus();
  }

  end() {
    this.pause();
    this.sizes.disconnect();
    this.endScheme();
  }
}

function enter(event, action) {
  if (event.key !== 'Enter' && event.key !== ' ') return;
  event.preventDefault();
  event.stopPropagation();
  action();
}

function clamp(value) {
  return Math.max(0, Math.min(value, 1));
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
