// Watch: the runs there are, and the course of those chosen, while they train and afterwards.
import { h, mistake, number, plural, count, short, style, write } from '../parts.js';
import { Course } from './watch-course.js';
import { Panel } from './watch-charts.js';
import { askFork } from './watch-fork.js';

export const title = 'Watch';
const MOST = 6; // runs side by side
const LOOK = 5000; // milliseconds between two looks at the list; how the chosen runs go is told by the stream
const LIVE = new Set(['running', 'paused', 'starting']);
const WORDS = { nan: 'loss not finite' };

export async function mount(main, { api, stream, keep, state, keys }) {
  await style('pages/watch.css');
  const found = await api('runs');
  const page = new Watch(main, { api, stream, keep, state });
  page.draw(found);
  keys([
    { key: 'p', text: 'pause or go on with the run', run: () => page.control(page.status() === 'paused' ? 'resume' : 'pause') },
    { key: 'f', text: 'fork from here, with another learning rate', run: () => page.fork() },
    { key: 'j', text: 'the next run', run: () => page.move(1) },
    { key: 'k', text: 'the run before', run: () => page.move(-1) },
    { key: 'c', text: 'compare: keep this run beside the next', run: () => page.compare() },
    { key: 'l', text: 'loss on a logarithmic axis, or not', run: () => page.panel?.toggleLog() },
  ]);
  return () => page.end();
}

class Watch {
  constructor(main, { api, stream, keep, state }) {
    Object.assign(this, { main, api, stream, keep });
    this.runs = [];
    this.chosen = (state.runs ?? '').split(',').filter(Boolean).slice(0, MOST);
    this.options = { log: state.log !== '0', x: state.x === 'epoch' ? 'epoch' : 'step' };
    this.courses = new Map();
    this.ended = false;
    this.endStream = () => {};
    this.aside = h('aside', { class: 'runs card', 'aria-label': 'Runs' });
    this.body = h('section', { class: 'course', 'aria-label': 'The chosen runs' });
    this.timer = setInterval(() => this.look(), LOOK);
    this.refound = () => this.look();
    addEventListener('lab:found', this.refound);
  }

  get focus() {
    return this.runs.find(({ id }) => id === this.chosen[0]);
  }

  status() {
    return this.focus?.status;
  }

  draw(found) {
    this.runs = newestFirst(found);
    if (!this.runs.length) return void this.main.replaceChildren(nothing());
    this.chosen = this.chosen.filter((id) => this.runs.some((run) => run.id === id));
    if (!this.chosen.length) this.chosen = [(this.runs.find(({ status }) => LIVE.has(status)) ?? this.runs[0]).id];
    if (!this.aside.isConnected) this.main.replaceChildren(h('h1', { class: 'visually-hidden' }, 'Watch'), h('div', { class: 'watch' }, this.aside, this.body));
    this.list();
    this.choose();
  }

  /** The list again, for new runs and what became of the old ones. */
  async look() {
    if (this.ended || document.hidden) return;
    try {
      const found = await this.api('runs');
      if (this.ended) return;
      if (!this.runs.length) return void this.draw(found);
      this.runs = newestFirst(found);
      this.list();
      this.head();
    } catch { /* the shell says that the lab is away */ }
  }

  /** Made anew where something in it is another. */
  list() {
    const told = JSON.stringify([this.chosen, this.runs.map((run) => [run.id, run.name, run.status, facts(run), Math.round(1000 * share(run))])]);
    if (told === this.listed) return;
    this.listed = told;
    const active = document.activeElement?.closest?.('.runs [data-run]')?.dataset.run;
    const kind = document.activeElement?.tagName;
    this.aside.replaceChildren(
      h('h2', {}, plural(this.runs.length, 'run')),
      h('ul', {}, this.runs.map((run) => this.item(run))),
    );
    if (active) this.aside.querySelector(`[data-run="${active}"] ${kind === 'INPUT' ? 'input' : 'button'}`)?.focus();
  }

  item(run) {
    const place = this.chosen.indexOf(run.id);
    const box = h('input', {
      type: 'checkbox', 'aria-label': `Compare ${run.name}`, title: 'beside the others',
      onchange: ({ target }) => this.overlay(run.id, target.checked),
    });
    box.checked = place >= 0;
    if (place >= 0) box.style.accentColor = `var(--s${place + 1})`;
    const done = share(run);
    const bar = LIVE.has(run.status) && done != null ? h('span', { class: 'bar' }, h('span')) : null;
    if (bar) bar.firstChild.style.width = `${100 * done}%`;
    return h('li', { class: place === 0 ? 'focus' : '', 'data-run': run.id }, box,
      h('button', { type: 'button', class: 'run', 'aria-pressed': place === 0, onclick: () => this.only(run.id) },
        h('span', { class: 'name' }, run.name),
        h('span', { class: `chip ${run.status}` }, WORDS[run.status] ?? run.status),
        h('span', { class: 'muted small facts' }, facts(run)), bar));
  }

  only(id) {
    this.chosen = [id];
    this.list();
    this.choose();
  }

  overlay(id, on) {
    this.chosen = on ? [...this.chosen, id].slice(-MOST) : this.chosen.filter((each) => each !== id);
    if (!this.chosen.length) this.chosen = [id];
    this.listed = null; // its box may say otherwise
    this.list();
    this.choose();
  }

  move(step) {
    const at = this.runs.findIndex(({ id }) => id === this.chosen[0]);
    const next = this.runs[(at + step + this.runs.length) % this.runs.length];
    if (next) this.only(next.id);
  }

  compare() {
    const next = this.runs.find(({ id }) => !this.chosen.includes(id));
    if (next) this.overlay(next.id, true);
  }

  remember() {
    this.keep({ runs: this.chosen.join(','), log: this.options.log ? '' : '0', x: this.options.x === 'epoch' ? 'epoch' : '' });
  }

  /** Show the chosen runs: their history, then what happens. */
  async choose() {
    this.remember();
    this.endStream();
    const chosen = [...this.chosen];
    for (const id of this.courses.keys()) if (!chosen.includes(id)) this.courses.delete(id);
    this.head();
    try {
      await Promise.all(chosen.filter((id) => !this.courses.has(id)).map(async (id) => {
        const course = new Course(id, this.api);
        await course.load();
        if (this.chosen.includes(id)) this.courses.set(id, course);
      }));
    } catch (error) {
      if (same(chosen, this.chosen)) this.say(error);
      return;
    }
    if (this.ended || !same(chosen, this.chosen)) return;
    this.panel?.end();
    this.panel = new Panel(this.plots, this.options, () => this.remember());
    this.show();
    let fresh = !document.hidden;
    this.endStream = this.stream(async () => {
      if (!fresh) await this.again(chosen);
      fresh = false;
      return `events?runs=${chosen.join(',')}&since=${chosen.map((id) => this.courses.get(id).step).join(',')}`;
    }, (event) => this.heard(event));
  }

  /** What happened while nobody looked, or the lab was away. */
  async again(chosen) {
    this.look();
    await Promise.all(chosen.map((id) => this.courses.get(id).load()));
    this.show();
  }

  heard(event) {
    const course = this.courses.get(event.run);
    const run = this.runs.find(({ id }) => id === event.run);
    if (!course || !run) return;
    course.take(event, () => this.show());
    const before = run.status;
    Object.assign(run, { status: event.status ?? run.status, step: event.step ?? run.step });
    const last = course.epochs.at(-1);
    if (last) Object.assign(run, { epoch: last.epoch, lr: last.learning_rate ?? run.lr });
    if (course.losses.ys.length) run.loss = course.losses.ys.at(-1);
    if (before !== run.status) this.look();
    this.head();
    this.show();
  }

  show() {
    this.panel?.show(this.chosen.map((id) => ({ run: this.runs.find((run) => run.id === id), course: this.courses.get(id) })).filter(({ run, course }) => run && course));
  }

  /** What stands above the charts; its buttons are made anew only when the status is another. */
  head() {
    const run = this.focus;
    if (!run) return;
    const now = `${run.id} ${run.status}`;
    if (this.headed !== now) {
      this.headed = now;
      this.facts = h('dl', { class: 'facts' });
      this.said = h('div', { 'aria-live': 'polite' });
      this.plots ??= h('div', { class: 'plots' });
      const parent = run.parent ? h('p', { class: 'muted small' }, `left ${run.parent.name}${run.parent.step == null ? '' : ` after step ${count(run.parent.step)}`}`) : null;
      this.body.replaceChildren(
        h('div', { class: 'card head' },
          h('div', { class: 'row top' },
            h('div', {}, h('h2', { class: 'big' }, run.name), parent),
            h('span', { class: `chip ${run.status}` }, WORDS[run.status] ?? run.status),
            h('div', { class: 'row buttons' }, this.buttons(run))),
          this.facts, run.problem ? mistake(run.problem) : null, this.said),
        this.plots);
    }
    const told = described(run, this.courses.get(run.id));
    const names = told.map(([name]) => name).join();
    if (this.facts.dataset.names !== names) {
      this.facts.dataset.names = names;
      this.facts.replaceChildren(...told.map(([name]) =>
        h('div', {}, h('dt', {}, name), h('dd', { class: 'number' }, h('span'), h('span', { class: 'muted' })))));
    }
    told.forEach(([, value, note], at) => {
      const [said, beside] = this.facts.children[at].lastChild.children;
      write(said, value);
      write(beside, note ? ` ${note}` : '');
    });
  }

  buttons(run) {
    const button = (text, action, key) => h('button', { type: 'button', onclick: action, title: key ? `key: ${key}` : null }, text);
    const live = LIVE.has(run.status) && run.status !== 'starting';
    return [
      live && run.status !== 'paused' && button('Pause', () => this.control('pause'), 'p'),
      run.status === 'paused' && h('button', { type: 'button', class: 'primary', title: 'key: p', onclick: () => this.control('resume') }, 'Resume'),
      live && button('Stop', () => this.control('stop')),
      button('Fork …', () => this.fork(), 'f'),
      h('a', { class: 'button', href: `#/network/${run.id}` }, 'Look inside'),
    ];
  }

  async control(action) {
    const run = this.focus;
    if (!run) return;
    try {
      await this.api(`runs/${run.id}/control`, { action });
      this.say(null, { pause: 'Pausing after the steps under way …', resume: '', stop: 'Stopping after the steps under way …' }[action]);
    } catch (error) {
      this.say(error);
    }
  }

  async fork() {
    const run = this.focus;
    if (!run) return;
    const id = await askFork(run, this.panel?.picked ?? run.step, (body) => this.api(`runs/${run.id}/fork`, body));
    if (!id || this.ended) return;
    this.runs = newestFirst(await this.api('runs'));
    this.chosen = [id, ...this.chosen.filter((each) => each !== id)].slice(0, MOST);
    this.list();
    this.choose();
  }

  say(error, text) {
    this.said?.replaceChildren(error ? mistake(error) : h('p', { class: 'muted small' }, text ?? ''));
  }

  end() {
    this.ended = true;
    clearInterval(this.timer);
    removeEventListener('lab:found', this.refound);
    this.endStream();
    this.panel?.end();
  }
}

function newestFirst(runs) {
  return [...runs].sort((one, other) => LIVE.has(other.status) - LIVE.has(one.status) || String(other.created ?? '').localeCompare(String(one.created ?? '')));
}

function same(one, other) {
  return one.join() === other.join();
}

/** How much of its steps a run has taken; null where that is not known. */
function share(run) {
  return run.epochs && run.steps_per_epoch ? Math.min(run.step / (run.epochs * run.steps_per_epoch), 1) : null;
}

function facts(run) {
  const parts = [];
  if (run.epochs) parts.push(`epoch ${count(run.epoch)} of ${count(run.epochs)}`);
  if (run.loss != null) parts.push(`loss ${number(run.loss, 3)}`);
  if (run.score != null) parts.push(`${run.metric} ${number(run.score, 3)}`);
  return parts.join(' · ');
}

function described(run, course) {
  const last = course?.epochs.at(-1) ?? {};
  const seen = course?.observations.at(-1);
  const found = [
    ['epoch', run.epochs ? count(run.epoch) : '–', run.epochs ? `of ${count(run.epochs)}` : ''],
    ['step', count(run.step), run.epochs && run.steps_per_epoch ? `of ${short(run.epochs * run.steps_per_epoch)}` : ''],
    ['loss', number(run.loss)],
  ];
  if (last.validation_loss != null) found.push(['validation loss', number(last.validation_loss)]);
  for (const [name, value] of Object.entries(last)) {
    if (name.startsWith('validation_') && name !== 'validation_loss') found.push([name.replace('validation_', 'validation '), number(value)]);
  }
  if (run.score != null) found.push([`test ${run.metric}`, number(run.score)]);
  found.push(['learning rate', number(seen?.learning_rate ?? run.lr, 3)]);
  if (seen?.step_seconds) found.push(['a step', `${number(1000 * seen.step_seconds, 3)} ms`]);
  return found;
}

function nothing() {
  return h('div', { class: 'empty' }, h('h1', {}, 'No runs here yet'),
    h('p', {}, 'Train a network, and watch it here while it learns:'),
    h('code', {}, 'fallline train penguins --target species --lab'),
    h('p', { class: 'muted' }, 'This page finds new runs by itself.'));
}
