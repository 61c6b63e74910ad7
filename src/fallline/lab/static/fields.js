// Pictures of numbers over a plane: from bytes to colours, and the line where a number is crossed.
import { colour } from './parts.js';

export const CLASSES = ['s2', 's1', 's3', 's4', 's5', 's6'];
const KNOWN = new Map();

/** A named colour of base.css as [red, green, blue]. */
export function rgb(name) {
  const text = colour(name);
  if (!KNOWN.has(text)) {
    const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d');
    context.fillStyle = text || '#888';
    context.fillRect(0, 0, 1, 1);
    KNOWN.set(text, [...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
  }
  return KNOWN.get(text);
}

const mix = (one, other, share) => one.map((part, k) => part + (other[k] - part) * share);

/** 256 colours: orange below, blue above, paper at the byte `middle`. */
export function twoSided(middle = 127.5, strength = 0.78) {
  const [low, high, paper] = [rgb('s2'), rgb('s1'), rgb('paper')];
  return Array.from({ length: 256 }, (_, byte) => {
    const far = (byte - middle) / Math.max(middle, 255 - middle);
    return mix(paper, far < 0 ? low : high, Math.min(1, Math.abs(far)) ** 0.75 * strength);
  });
}

/** The bytes of a picture that the server packed. */
export function bytes(picture) {
  return Uint8Array.from(atob(picture.bytes), (letter) => letter.charCodeAt(0));
}

/** The byte at which a picture's numbers are 0. */
export function zeroOf({ low, high }) {
  if (low >= 0) return low > 0 ? -255 : 0;
  return high <= 0 ? 255 : (-low / (high - low)) * 255;
}

/** Colours of one number a place. */
export function oneField(values, table) {
  return (k) => table[values[k]];
}

/** Colours of a share for each of several classes: the leading class, the stronger the farther it leads. */
export function classField(shares) {
  const [paper, tones] = [rgb('paper'), CLASSES.map(rgb)];
  return (k) => {
    let [best, most, total] = [0, 0, 0];
    shares.forEach((share, number) => {
      total += share[k];
      if (share[k] > most) [best, most] = [number, share[k]];
    });
    const lead = (most / Math.max(total, 1) - 1 / shares.length) / (1 - 1 / shares.length);
    return mix(paper, tones[best], 0.12 + 0.6 * Math.max(0, lead));
  };
}

/** Colours of one class's share. */
export function shareField(share, number) {
  const [paper, tone] = [rgb('paper'), rgb(CLASSES[number])];
  return (k) => mix(paper, tone, 0.06 + 0.7 * (share[k] / 255));
}

/** Draw a square of points × points colours so that its outer points lie on the canvas' edges, smoothly. */
export function paint(canvas, points, colourOf) {
  const small = Object.assign(document.createElement('canvas'), { width: points, height: points });
  const image = new ImageData(points, points);
  for (let k = 0; k < points * points; k += 1) {
    const [red, green, blue] = colourOf(k);
    image.data.set([red, green, blue, 255], 4 * k);
  }
  small.getContext('2d').putImageData(image, 0, 0);
  const context = canvas.getContext('2d');
  const [width, height] = [canvas.width, canvas.height];
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'high';
  const [dx, dy] = [width / (points - 1), height / (points - 1)];
  context.drawImage(small, -dx / 2, -dy / 2, width + dx, height + dy);
}

/** Straight pieces [x0, y0, x1, y1] in grid places where a square of numbers crosses a level. */
export function crossing(values, points, level) {
  const pieces = [];
  const at = (row, column) => values[row * points + column] - level;
  const between = (a, b) => a / (a - b);
  for (let row = 0; row < points - 1; row += 1) {
    for (let column = 0; column < points - 1; column += 1) {
      const [a, b, c, d] = [at(row, column), at(row, column + 1), at(row + 1, column + 1), at(row + 1, column)];
      const found = [];
      if (a < 0 !== b < 0) found.push([column + between(a, b), row]);
      if (b < 0 !== c < 0) found.push([column + 1, row + between(b, c)]);
      if (d < 0 !== c < 0) found.push([column + between(d, c), row + 1]);
      if (a < 0 !== d < 0) found.push([column, row + between(a, d)]);
      for (let k = 0; k + 1 < found.length; k += 2) pieces.push([...found[k], ...found[k + 1]]);
    }
  }
  return pieces;
}

/** A canvas for sharp pictures on this screen. */
export function canvasOf(width, height, label) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  if (label) {
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', label);
  } else canvas.setAttribute('aria-hidden', 'true');
  return canvas;
}
