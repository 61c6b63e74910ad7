// A landscape as a map: rings of equal loss, with paths over it.
import { h, number, svg } from '../parts.js';

export const SIZE = 600;

/** A map of what the server computed: `ground` has across, up, levels, outlines, and perhaps the heights themselves. */
export function map(ground, label, { click, told } = {}) {
  const grid = ground.grid ?? ground.across.length;
  const unit = SIZE / (grid - 1);
  const [left, right] = [ground.across[0], ground.across.at(-1)];
  const [low, high] = [ground.up[0], ground.up.at(-1)];
  const x = (value) => ((value - left) / (right - left)) * SIZE;
  const y = (value) => SIZE - ((value - low) / (high - low)) * SIZE;
  const back = (px, py) => [left + (px / SIZE) * (right - left), low + ((SIZE - py) / SIZE) * (high - low)];
  const bands = ground.levels.map((_, k) => {
    const d = ground.outlines[k].map((flat) => {
      let text = '';
      for (let at = 0; at < flat.length; at += 2) text += `${at ? 'L' : 'M'}${(flat[at] * unit).toFixed(1)} ${(SIZE - flat[at + 1] * unit).toFixed(1)}`;
      return `${text}Z`;
    }).join('');
    return d && svg('path', { d, class: `band b${k}`, 'fill-rule': 'evenodd' });
  }).filter(Boolean).reverse();
  const paths = svg('g', { class: 'paths' });
  const picture = svg('svg', { viewBox: `0 0 ${SIZE} ${SIZE}`, class: 'map', role: 'img', 'aria-label': label },
    svg('rect', { width: SIZE, height: SIZE, class: 'band top' }), ...bands, paths);
  const at = (event) => {
    const box = picture.getBoundingClientRect();
    return back(((event.clientX - box.left) / box.width) * SIZE, ((event.clientY - box.top) / box.height) * SIZE);
  };
  if (click) picture.addEventListener('click', (event) => click(...at(event)));
  if (told) {
    picture.addEventListener('pointermove', (event) => told(...at(event)));
    picture.addEventListener('pointerleave', () => told(null));
  }
  return { element: picture, paths, x, y };
}

/** The loss at a place between the grid's points; null outside. */
export function heightAt({ across, up, surface }, a, b) {
  const column = ((a - across[0]) / (across.at(-1) - across[0])) * (across.length - 1);
  const row = ((b - up[0]) / (up.at(-1) - up[0])) * (up.length - 1);
  const [c, r] = [Math.floor(column), Math.floor(row)];
  if (c < 0 || r < 0 || c >= across.length - 1 || r >= up.length - 1) return null;
  const [s, t] = [column - c, row - r];
  const corners = [surface[r][c], surface[r][c + 1], surface[r + 1][c], surface[r + 1][c + 1]];
  if (corners.some((value) => value == null)) return null;
  return corners[0] * (1 - s) * (1 - t) + corners[1] * s * (1 - t) + corners[2] * (1 - s) * t + corners[3] * s * t;
}

/** A path: pieces that go up are marked; dots show where it was looked at, and so how long its steps are. */
export function trail(place, places, losses, { tone = 'walk', dots = true, upto = places.length - 1 } = {}) {
  const parts = [];
  const inside = ([a, b]) => Number.isFinite(a) && Number.isFinite(b) && Math.abs(place.x(a)) < 20 * SIZE && Math.abs(place.y(b)) < 20 * SIZE;
  for (let k = 0; k < Math.min(upto, places.length - 1); k += 1) {
    if (!inside(places[k]) || !inside(places[k + 1])) break;
    const [[a, b], [c, d]] = [places[k], places[k + 1]];
    const rises = losses?.[k + 1] > losses?.[k];
    parts.push(svg('line', { x1: place.x(a), y1: place.y(b), x2: place.x(c), y2: place.y(d), class: `${tone}${rises ? ' rises' : ''}` }));
  }
  if (dots) places.slice(0, upto + 1).filter(inside).forEach(([a, b], k) => parts.push(svg('circle', { cx: place.x(a), cy: place.y(b), r: k === 0 ? 5.5 : 2.6, class: `${tone} dot${k === 0 ? ' start' : ''}` })));
  return svg('g', {}, ...parts);
}

/** What the tones mean: the levels, from the lowest. */
export function scale(ground, lowest) {
  const values = [lowest, ...ground.levels];
  return h('div', { class: 'scale small', role: 'img', 'aria-label': `tones from loss ${number(lowest)} to above ${number(ground.levels.at(-1))}` },
    h('span', {}, number(lowest, 3)), ...values.map((_, k) => h('i', { class: k < ground.levels.length ? `b${k}` : 'top' })), h('span', {}, number(ground.levels.at(-1), 3)), h('span', { class: 'muted' }, 'and more'));
}
