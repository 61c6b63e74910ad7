// Line charts, drawn by uPlot (vendor/uplot.js, MIT).
import uPlot from './vendor/uplot.js';
import { colour, h, number, onScheme, short, style, write } from './parts.js';

const HEIGHT = 200;

/**
 * A line chart inside `element`.
 *
 * Options: `title`; `x`, what the horizontal axis counts; `series`, a list of {label, colour: 's1', width, dash,
 * faint}; `log`, a logarithmic vertical axis; `height`; `note`, a sentence below; `format` of values;
 * `sync`, a key by which charts share their cursor; `pick`, called with the x that is clicked.
 * Returns {update(tables), destroy()}: update takes [xs, ys] for each series, each with its own xs in order, and draws them
 * at once, so that its caller knows what drawing takes; tables that are as they were are not drawn again.
 */
export function line(element, options) {
  style('vendor/uplot.css');
  const { title, x = 'step', series, log = false, height = HEIGHT, note, format = number, sync, pick } = options;
  const place = h('div', { class: 'chart' });
  const words = h('figcaption', {}, h('h2', {}, title), h('p', { class: 'muted small' }, note ?? ''));
  const figure = h('figure', { class: 'figure', 'aria-label': title }, words, place);
  element.append(figure);
  let tables = series.map(() => [[], []]);
  let drawn = null, seen = true, shown = '';

  const build = () => {
    drawn?.destroy();
    drawn = new uPlot(described(), joined(tables), place);
    if (pick) drawn.over.addEventListener('click', () => drawn.cursor.left >= 0 && pick(drawn.posToVal(drawn.cursor.left, 'x')));
  };
  const described = () => ({
    width: Math.max(place.clientWidth, 120), height, padding: [10, 14, 0, 0],
    cursor: { points: { size: 7 }, sync: sync ? { key: sync, scales: ['x', null] } : undefined, drag: { x: true, y: false } },
    legend: { live: true, markers: { width: 2 } },
    scales: { x: { time: false, range: across }, y: log ? { distr: 3, range: around } : { range: spread } },
    axes: [
      { ...axis(), label: x, labelSize: 18, labelFont: font(11), size: 30, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? short(t) : '')) },
      { ...axis(log), size: (_, shown) => Math.max(58, ...(shown ?? []).map((text) => 16 + 7 * text.length)), values: (_, ticks) => ticks.map((t) => (t == null ? '' : format(t, 3))) },
    ],
    series: [
      { label: x, value: (_, value) => (value == null ? 'last' : number(value)) },
      ...series.map((one) => ({
        label: one.label, stroke: colour(one.colour), width: one.width ?? 1.6, dash: one.dash, spanGaps: true,
        alpha: one.faint ? 0.38 : 1, points: { show: (_, at) => tables[at - 1][0].length < 3, size: 6, fill: colour(one.colour) },
        value: (drawing, value, at, index) => format(value ?? latest(drawing.data[at], index), 4),
      })),
    ],
  });
  const draw = () => {
    if (!seen || !place.isConnected) return; // what nobody sees is not drawn
    const now = tables.map(signature).join();
    if (!drawn) build();
    else if (now !== shown) drawn.setData(joined(tables));
    shown = now;
  };
  const size = new ResizeObserver(() => drawn && drawn.width !== place.clientWidth && drawn.setSize({ width: Math.max(place.clientWidth, 120), height }));
  size.observe(place);
  const sight = new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; draw(); }, { rootMargin: '120px' });
  sight.observe(place);
  const endScheme = onScheme(() => drawn && build());
  return {
    update(found, said) {
      tables = found;
      if (said != null) write(words.lastChild, said);
      draw();
    },
    destroy() {
      size.disconnect();
      sight.disconnect();
      endScheme();
      drawn?.destroy();
      figure.remove();
    },
  };
}

function joined(tables) {
  const some = tables.map(([xs, ys]) => (xs.length ? [xs, ys] : [[], []]));
  if (some.length === 1) return some[0];
  if (some.every(([xs]) => !xs.length)) return [[], ...some.map(() => [])];
  return uPlot.join(some);
}

/** What tells whether a table has grown, or is another. */
function signature([xs, ys]) {
  return `${xs.length} ${xs[0]} ${xs.at(-1)} ${ys.at(-1)}`;
}

function axis(log = false) {
  return {
    stroke: colour('muted'), font: font(11.5),
    grid: { stroke: colour('hair'), width: 1, ...(log ? { filter: decades } : {}) }, ticks: { show: false }, gap: 6,
  };
}

/** What a line has last reached at a place, or at its end. */
function latest(values, index) {
  for (let at = index ?? (values?.length ?? 0) - 1; at >= 0; at -= 1) if (values[at] != null) return values[at];
  return null;
}

/** Of the lines behind a logarithmic axis, those at 10, 100, 1000, where there are several. */
function decades(_, splits) {
  const whole = splits.map((value) => (value > 0 && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? value : null));
  return whole.filter((value) => value != null).length > 1 ? whole : splits;
}

function font(size) {
  return `${size}px ${getComputedStyle(document.body).fontFamily}`;
}

/** From the first to the last, and never nothing. */
function across(_, low, high) {
  if (low == null) return [0, 1];
  return low === high ? [low, low + 1] : [low, high];
}

/** Room above and below what is drawn; from 0 where that is near. */
function spread(_, low, high) {
  if (low == null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 && low - room < 0.25 * (high - low) ? 0 : low - room, high + room];
}

/** The same on a logarithmic axis, which has no place for what is not above 0: from and to one digit, as uPlot needs it. */
function around(_, low, high) {
  const most = high > 0 ? high : 1;
  const least = low > 0 ? low : most / 1e4;
  const bottom = digit(least, Math.floor), top = digit(most, Math.ceil);
  return [bottom, top > bottom ? top : 2 * bottom];
}

/** The next number of one digit: 0.0347 is between 0.03 and 0.04. */
function digit(value, round) {
  const [, exponent] = value.toExponential().split('e');
  return Number(`${round(value / Number(`1e${exponent}`) + (round === Math.floor ? 1e-9 : -1e-9))}e${exponent}`);
}
