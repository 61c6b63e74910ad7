// The lines of a network's picture: what goes over each weight, drawn on a canvas, and found under a pointer.
import { colour } from '../parts.js';

export const HEAD = 90, FOOT = 34; // above and below the units
const LEVELS = 6; // shades of lines

/** The lines into a layer, in shades of what went over them: forwards w·a, backwards w·dL/dz. */
export function between(picture, stage, at) {
  const { weights, deltas } = picture.flow.stages[stage.name];
  if (!weights) return [];
  const from = picture.spots[at], to = picture.spots[at + 1], values = picture.flow.columns[at][picture.row], back = deltas[picture.row] ?? [];
  const found = [];
  const add = (i, j, w) => from[i] && to[j] && found.push({ i, j, w, ahead: Math.abs(w * (values[i] ?? 0)), behind: Math.abs(w * (back[j] ?? 0)) });
  if (stage.kind === 'linear') weights.forEach((own, i) => own.forEach((w, j) => add(i, j, w)));
  else weights.forEach((w, j) => add(j, j, w));
  for (const [what, level] of [['ahead', 'forward'], ['behind', 'back']]) {
    const top = Math.max(...found.map((one) => one[what]), 1e-30);
    for (const one of found) one[level] = Math.min(LEVELS - 1, Math.floor(LEVELS * Math.sqrt(one[what] / top) * 0.999));
  }
  return found;
}

/** Draw a layer's lines, up to a share of their way. */
export function strokes(picture, k, level, progress, strength, reversed) {
  const { pen } = picture, from = picture.spots[k], to = picture.spots[k + 1];
  pen.strokeStyle = picture.colours[level];
  for (let shade = 1; shade < LEVELS; shade += 1) {
    pen.beginPath();
    for (const one of picture.lines[k]) {
      if (one[level] !== shade) continue;
      const a = reversed ? to[one.j] : from[one.i], b = reversed ? from[one.i] : to[one.j];
      pen.moveTo(a.x, a.y);
      pen.lineTo(a.x + (b.x - a.x) * progress, a.y + (b.y - a.y) * progress);
    }
    const share = shade / (LEVELS - 1);
    pen.globalAlpha = strength * share * share;
    pen.lineWidth = 0.5 + 1.3 * share;
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

/** From the outputs to the loss, and back: how dL/doutput begins. */
export function toLoss(picture, progress, strength) {
  if (progress <= 0 || !picture.stages.length) return;
  const { pen } = picture, layers = picture.stages.length, spots = picture.spots[layers], backwards = picture.time > layers + 0.5;
  const deltas = picture.flow.stages[picture.stages[layers - 1].name].deltas[picture.row] ?? [], peak = picture.deltaPeaks[layers - 1];
  const end = { x: picture.width - 74, y: HEAD + (picture.height - HEAD - FOOT) / 2 }, start = picture.wide > 520 && picture.network.outputs ? 80 : 9;
  pen.strokeStyle = picture.colours[backwards ? 'back' : 'forward'];
  spots.forEach((spot, at) => {
    const share = backwards ? Math.sqrt(Math.abs(deltas[at] ?? 0) / peak) : 0.35, from = spot.x + Math.min(start, (end.x - spot.x) / 2);
    pen.globalAlpha = strength * share;
    pen.lineWidth = 0.6 + 1.4 * share;
    pen.beginPath();
    pen.moveTo(from, spot.y);
    pen.bezierCurveTo((from + end.x) / 2, spot.y, (from + end.x) / 2, end.y, from + (end.x - from) * Math.min(1, 2 * progress), end.y);
    pen.stroke();
  });
  pen.globalAlpha = 1;
}

/** Draw the line of the weight that is explained. */
export function markLine(picture) {
  const { pen } = picture;
  picture.stages.forEach((stage, k) => (picture.lines?.[k] ?? []).forEach((one) => {
    if (picture.marked !== picture.spelled(k, one)) return;
    const a = picture.spots[k][one.i], b = picture.spots[k + 1][one.j];
    pen.strokeStyle = colour('ink');
    pen.lineWidth = 2.2;
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.lineTo(b.x, b.y);
    pen.stroke();
  }));
}

/** The line under a pointer, if there is one. */
export function near(picture, event) {
  if (!picture.flow) return null;
  const box = picture.inner.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let best = null, least = 5;
  picture.stages.forEach((_, k) => {
    if (x < picture.spots[k][0].x + 9 || x > picture.spots[k + 1][0].x - 9) return;
    for (const one of picture.lines[k]) {
      const a = picture.spots[k][one.i], b = picture.spots[k + 1][one.j];
      const slope = (b.y - a.y) / (b.x - a.x), off = Math.abs(a.y + slope * (x - a.x) - y) / Math.hypot(1, slope);
      if (off < least) { least = off; best = { k, one, x, y }; }
    }
  });
  return best;
}
