// The plane with the rows on it, coloured by what the network says of each place.
import { CLASSES, bytes, canvasOf, classField, crossing, oneField, paint, rgb, twoSided } from '../fields.js';
import { h, number } from '../parts.js';

const css = ([red, green, blue]) => `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;

/** A square picture of a playground; `choose(row)` is called with the number of a row that is clicked. */
export function surface(size, choose) {
  const label = 'The network’s answer over the plane, with the rows';
  const canvas = canvasOf(size, size, label);
  const told = h('p', { class: 'muted small told', 'aria-live': 'off' }, ' ');
  let now = null;

  function draw(data, frame, batch = [], chosen = -1, test = false) {
    now = { data, frame };
    const shares = frame.shares.map(bytes);
    now.shares = shares;
    const { points } = frame;
    paint(canvas, points, data.classes.length > 2 ? classField(shares) : oneField(shares[0], twoSided()));
    const context = canvas.getContext('2d');
    const scale = canvas.width / (points - 1);
    context.lineCap = 'round';
    context.strokeStyle = css(rgb('ink'));
    context.globalAlpha = 0.75;
    context.lineWidth = 1.6 * (canvas.width / size);
    context.beginPath();
    for (const [x0, y0, x1, y1] of borders(shares, points, data.classes.length)) {
      context.moveTo(x0 * scale, y0 * scale);
      context.lineTo(x1 * scale, y1 * scale);
    }
    context.stroke();
    context.globalAlpha = 1;
    if (test) data.test_x.forEach((place, row) => dot(context, data, place, data.test_y[row], { hollow: true }));
    const held = new Set(batch);
    data.x.forEach((place, row) => {
      if (row !== chosen) dot(context, data, place, data.y[row], { ring: held.has(row) });
    });
    if (chosen >= 0) dot(context, data, data.x[chosen], data.y[chosen], { ring: true, big: true });
  }

  function dot(context, data, [x, y], value, { ring = false, hollow = false, big = false }) {
    const unit = canvas.width / size;
    const [left, top] = [((x / data.reach + 1) / 2) * canvas.width, ((1 - y / data.reach) / 2) * canvas.height];
    const tone = toneOf(data, value);
    context.beginPath();
    context.arc(left, top, (big ? 7 : hollow ? 2.6 : 3.6) * unit, 0, 2 * Math.PI);
    context.fillStyle = hollow && data.classes.length ? css(rgb('paper')) : tone;
    context.fill();
    context.lineWidth = (big ? 2.6 : ring ? 1.8 : data.classes.length ? 1.1 : 0.8) * unit;
    context.strokeStyle = hollow ? tone : css(rgb(ring ? 'ink' : data.classes.length ? 'paper' : 'muted'));
    context.stroke();
  }

  function placed(event) {
    const box = canvas.getBoundingClientRect();
    const { reach } = now.data;
    return [((event.clientX - box.left) / box.width) * 2 * reach - reach, reach - ((event.clientY - box.top) / box.height) * 2 * reach];
  }

  canvas.addEventListener('pointermove', (event) => {
    if (!now) return;
    const { data, frame, shares } = now;
    const [x, y] = placed(event);
    const cell = (value) => Math.min(frame.points - 1, Math.max(0, Math.round(((value / data.reach + 1) / 2) * (frame.points - 1))));
    const at = (frame.points - 1 - cell(y)) * frame.points + cell(x);
    const value = (k) => frame.shares[k].low + (shares[k][at] / 255) * (frame.shares[k].high - frame.shares[k].low);
    const says = data.classes.length === 2 ? `${data.classes[1]} ${number(100 * value(0), 2)} %`
      : data.classes.length ? data.classes.map((name, k) => `${name} ${number(100 * value(k), 2)} %`).join(', ') : number(value(0), 2);
    told.textContent = `${data.names[0]} ${number(x, 2)}, ${data.names[1]} ${number(y, 2)}: ${says}`;
  });
  canvas.addEventListener('pointerleave', () => { told.textContent = ' '; });
  canvas.addEventListener('click', (event) => {
    if (!now) return;
    const [x, y] = placed(event);
    let [best, least] = [-1, (now.data.reach / 10) ** 2];
    now.data.x.forEach(([a, b], row) => {
      const far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) [best, least] = [row, far];
    });
    if (best >= 0) choose(best);
  });
  return { element: h('div', { class: 'surface' }, canvas, told), draw };
}

function borders(shares, points, classes) {
  if (classes <= 2) return crossing(shares[0], points, 127.5);
  return shares.flatMap((share, number) => {
    const rest = share.map((_, k) => Math.max(...shares.filter((__, other) => other !== number).map((other) => other[k])));
    return crossing(Float32Array.from(share, (value, k) => value - rest[k]), points, 0);
  });
}

/** The colour of a row's target. */
export function toneOf(data, value) {
  if (data.classes.length) return css(rgb(CLASSES[value]));
  return css(twoSided(127.5, 1)[Math.round(Math.min(1, Math.max(0, (value + 1) / 2)) * 255)]);
}

/** A small chart of the losses at all steps so far. */
export function lossChart(host, curve, { svg }) {
  const [width, height, left, bottom] = [320, 110, 38, 18];
  const last = Math.max(curve.at(-1)?.[0] ?? 1, 1);
  const all = curve.flatMap(([, train, test]) => [train, test]).filter((value) => value != null);
  const top = Math.max(...all, 1e-9) * 1.05;
  const x = (step) => left + (step / last) * (width - left - 6);
  const y = (loss) => 6 + (1 - Math.min(loss, top) / top) * (height - bottom - 6);
  const line = (which) => curve.filter((point) => point[which] != null)
    .map((point) => `${x(point[0]).toFixed(1)},${y(point[which]).toFixed(1)}`).join(' ');
  host.replaceChildren(svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'losses', role: 'img', 'aria-label': `Loss by step: ${number(curve.at(-1)?.[1])} now` },
    ...[0, top / 2.1, top / 1.05].map((value) => svg('g', {},
      svg('line', { x1: left, x2: width - 6, y1: y(value), y2: y(value), class: 'hair' }),
      svg('text', { x: left - 6, y: y(value) + 3.5, 'text-anchor': 'end' }, number(value, 2)))),
    svg('text', { x: left, y: height - 3 }, '0'),
    svg('text', { x: width - 6, y: height - 3, 'text-anchor': 'end' }, `step ${number(last)}`),
    svg('polyline', { points: line(2), class: 'test' }),
    svg('polyline', { points: line(1), class: 'train' })));
}
