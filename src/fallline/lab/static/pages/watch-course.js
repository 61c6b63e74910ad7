// One run's course: what its files told when the page was opened, and what has been heard since.

const MOST = 3000; // points of losses; of more, each stretch of steps keeps its lowest and its highest

export class Course {
  constructor(id, api) {
    Object.assign(this, { id, api });
    this.losses = { xs: [], ys: [] };
    this.epochs = [];
    this.observations = [];
    this.step = 0;
    this.batches = null;
  }

  async load() {
    const [history, observations] = await Promise.all([
      this.api(`runs/${this.id}/history?points=1500`), this.api(`runs/${this.id}/observations`),
    ]);
    this.losses = { xs: [], ys: [] };
    this.add(history.losses);
    this.epochs = history.epochs;
    this.observations = observations;
    this.step = history.step;
    this.batches = history.steps_per_epoch;
  }

  /** An event of the stream; `again` is called when the whole course was asked for anew. */
  take(event, again) {
    if (event.back_to != null) {
      this.load().then(again).catch(() => {});
      return;
    }
    this.add(event.losses ?? []);
    this.step = event.step ?? this.step;
    const known = this.epochs.at(-1)?.epoch ?? 0;
    this.epochs.push(...(event.epochs ?? []).filter(({ epoch }) => epoch > known));
    if (event.observation && event.observation.step !== this.observations.at(-1)?.step) this.observations.push(event.observation);
    if (this.losses.xs.length > MOST) this.losses = thinned(this.losses, MOST / 4);
  }

  add(points) {
    for (const [step, loss] of points) {
      if (this.losses.xs.length && step <= this.losses.xs.at(-1)) continue;
      this.losses.xs.push(step);
      this.losses.ys.push(loss);
    }
  }

  /** [xs, ys] of the steps' losses; `by` is 'step' or 'epoch'. */
  stepLosses(by) {
    const scale = by === 'epoch' && this.batches ? 1 / this.batches : 1;
    return [scale === 1 ? this.losses.xs : this.losses.xs.map((x) => x * scale), this.losses.ys];
  }

  /** [xs, ys] of a number of each epoch, at its end. */
  byEpoch(name, by) {
    const scale = by === 'epoch' ? 1 : this.batches ?? 1;
    const lines = this.epochs.filter((line) => line[name] != null);
    return [lines.map(({ epoch }) => epoch * scale), lines.map((line) => line[name])];
  }

  /** [xs, ys] of something observed, as `of(observation)` finds it. */
  observed(of, by) {
    const scale = by === 'epoch' && this.batches ? 1 / this.batches : 1;
    const xs = [], ys = [];
    for (const seen of this.observations) {
      const value = of(seen);
      if (value != null) {
        xs.push(seen.step * scale);
        ys.push(value);
      }
    }
    return [xs, ys];
  }

  /** The names of the metrics that epochs have. */
  metrics() {
    const last = this.epochs.at(-1) ?? {};
    const own = new Set(['epoch', 'step', 'loss', 'train_loss', 'validation_loss', 'learning_rate', 'seconds', 'gradient_norm']);
    return Object.keys(last).filter((name) => !own.has(name) && typeof last[name] === 'number');
  }
}

/** Of stretches of as many steps each, the lowest and the highest loss; one that is not finite counts as highest. */
export function thinned({ xs, ys }, stretches) {
  const kept = { xs: [], ys: [] }, size = (xs.at(-1) + 1 - xs[0]) / stretches;
  const height = (place) => ys[place] ?? Infinity;
  let place = 0;
  while (place < xs.length) {
    const stretch = Math.floor((xs[place] - xs[0]) / size);
    let low = place, high = place;
    for (; place < xs.length && Math.floor((xs[place] - xs[0]) / size) === stretch; place += 1) {
      if (height(place) < height(low)) low = place;
      if (height(place) > height(high)) high = place;
    }
    for (const each of new Set([Math.min(low, high), Math.max(low, high)])) {
      kept.xs.push(xs[each]);
      kept.ys.push(ys[each]);
    }
  }
  return kept;
}
