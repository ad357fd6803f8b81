// Lines of five minutes, drawn as SVG.

import { set, svg } from './dom.js';
import { BIN, BINS } from './series.js';

/** A line without axes, for a cell. `update(lines, top)`: each line is an array of numbers and nulls. */
export class Spark {
  constructor(classes, { width = 120, height = 28 } = {}) {
    this.size = [width, height];
    this.paths = classes.map((name) => svg('path', { class: `line ${name}` }));
    this.element = svg('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: 'none', role: 'img' }, ...this.paths);
  }

  update(lines, label, { top = peak(lines), bottom = 0 } = {}) {
    set(this.element, 'aria-label', label);
    lines.forEach((line, index) => set(this.paths[index], 'd', path(line, ...this.size, bottom, top)));
  }
}

/** A line with axes, for a row that was opened. `format(value)` writes values. */
export class Chart {
  constructor(classes, format, { width = 640, height = 150 } = {}) {
    this.format = format;
    this.size = [width, height];
    this.left = 52;
    this.under = 18;
    this.paths = classes.map((name) => svg('path', { class: `line ${name}` }));
    this.grid = svg('g', { class: 'grid' });
    const plot = svg('g', { transform: `translate(${this.left} 6)` }, ...this.paths);
    this.element = svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img' }, this.grid, plot);
    this.top = null;
  }

  update(lines, label) {
    set(this.element, 'aria-label', label);
    const top = nice(peak(lines));
    const [width, height] = [this.size[0] - this.left - 4, this.size[1] - this.under - 6];
    lines.forEach((line, index) => set(this.paths[index], 'd', path(line, width, height, 0, top)));
    if (top !== this.top) this.rule(top, width, height);
  }

  rule(top, width, height) {
    this.top = top;
    this.grid.replaceChildren();
    for (const part of [0, 0.5, 1]) {
      const y = 6 + height * (1 - part);
      this.grid.append(svg('line', { x1: this.left, x2: this.left + width, y1: y, y2: y }));
      const text = svg('text', { x: this.left - 6, y: y + 4, 'text-anchor': 'end' });
      text.textContent = this.format(top * part);
      this.grid.append(text);
    }
    for (const minutes of [5, 4, 3, 2, 1, 0]) {
      const x = this.left + width * (1 - (minutes * 60) / (BIN * BINS));
      const text = svg('text', { x, y: this.size[1] - 3, 'text-anchor': minutes === 0 ? 'end' : minutes === 5 ? 'start' : 'middle' });
      text.textContent = minutes ? `−${minutes} min` : 'now';
      this.grid.append(text);
    }
  }
}

export function peak(lines) {
  let top = 0;
  for (const line of lines) for (const value of line) if (value > top) top = value;
  return top;
}

/** The next of 1, 2, 5 times a power of ten. */
export function nice(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * unit >= value * 0.999) * unit;
}

/** The path of a line; a null is a gap, a value between two gaps a short dash. */
export function path(line, width, height, bottom, top) {
  const span = top - bottom || 1;
  const step = width / Math.max(1, line.length - 1);
  let drawn = '';
  let open = false;
  line.forEach((value, index) => {
    if (value === null || value === undefined) {
      open = false;
      return;
    }
    const x = index * step;
    const y = height - 1 - Math.max(0, Math.min(1, (value - bottom) / span)) * (height - 2);
    const alone = !open && (line[index + 1] ?? null) === null;
    if (alone) drawn += `M${round(Math.max(0, x - step / 2))} ${round(y)}h${round(step)}`;
    else drawn += `${open ? 'L' : 'M'}${round(x)} ${round(y)}`;
    open = true;
  });
  return drawn;
}

const round = (value) => Math.round(value * 100) / 100;
