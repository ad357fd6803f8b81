// The sequence diagram of a call, drawn from the same steps as its Mermaid text.

import { svg } from './dom.js';
import { clean } from './text.js';

const WIDE = 200; // between two lifelines
const SIDE = 84;
const HEAD = 44;
const LINE = 16;
const GAP = 14;
const LONGEST = 30; // characters of a line of text between two lifelines

/** Cut *text* into lines of at most *longest* characters, at blanks where there are any. */
export function wrap(text, longest = LONGEST) {
  const lines = [];
  let line = '';
  for (const word of text.split(' ')) {
    for (let rest = word; rest; rest = rest.slice(longest)) {
      const piece = rest.slice(0, longest);
      if (line && line.length + 1 + piece.length > longest) {
        lines.push(line);
        line = piece;
      } else {
        line = line ? `${line} ${piece}` : piece;
      }
    }
  }
  if (line) lines.push(line);
  return lines.length > 4 ? [...lines.slice(0, 3), `${lines[3].slice(0, longest - 1)}…`] : lines;
}

/** Where everything goes: rows with their heights, and columns. */
export function layout(told) {
  const columns = new Map(told.participants.map((who, index) => [who.id, SIDE + index * WIDE]));
  let y = HEAD + 20;
  const rows = told.steps.map((step) => {
    const from = columns.get(step.source);
    const to = columns.get(step.target);
    const over = step.kind === 'note';
    const longest = over ? 40 : Math.max(LONGEST, Math.floor((Math.abs(to - from) / WIDE) * LONGEST));
    const lines = step.lines.flatMap((line) => wrap(clean(line), longest));
    const top = y;
    y += lines.length * LINE + (over ? 14 : 8) + GAP;
    return { step, from, to, lines, top, bottom: y - GAP };
  });
  const last = [...columns.values()].at(-1);
  return { columns, rows, width: last + SIDE + 30, height: y + 8 };
}

/** Draw *told*: {participants, steps}. */
export function drawSequence(told) {
  const { columns, rows, width, height } = layout(told);
  const drawing = svg('svg', { class: 'sequence', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img',
    'aria-label': told.steps.map((step) => `${step.source} ${step.kind} ${step.target}: ${step.lines.join(', ')}`).map((line) => clean(line, 200)).join('. ') });
  for (const who of told.participants) head(drawing, who, columns.get(who.id), height);
  for (const row of rows) (row.step.kind === 'note' ? note : message)(drawing, row);
  return drawing;
}

function head(drawing, who, x, height) {
  drawing.append(svg('line', { class: 'life', x1: x, x2: x, y1: HEAD, y2: height - 4 }),
    svg('rect', { class: 'who', x: x - SIDE + 6, y: 4, width: 2 * SIDE - 12, height: HEAD - 8, rx: 6 }));
  const name = clean(who.name.replace(/^https?:\/\//, ''), 60);
  const lines = wrap(name, 24).slice(0, 2);
  lines.forEach((line, index) => drawing.append(text(line, x, HEAD / 2 + 5 + (index - (lines.length - 1) / 2) * 14, 'who-text')));
}

function message(drawing, { step, from, to, lines, top, bottom }) {
  const forward = to > from;
  const middle = (from + to) / 2;
  lines.forEach((line, index) => drawing.append(text(line, middle, top + (index + 1) * LINE - 4, index ? 'said muted-fill' : 'said')));
  const y = bottom;
  const back = forward ? -1 : 1;
  drawing.append(svg('line', { class: `message ${step.kind}`, x1: from, x2: to + back * 2, y1: y, y2: y }));
  if (step.kind === 'ends' || step.kind === 'breaks') {
    const x = to + back * 8;
    drawing.append(svg('path', { class: `cross ${step.kind}`, d: `M${x - 5} ${y - 5}L${x + 5} ${y + 5}M${x - 5} ${y + 5}L${x + 5} ${y - 5}` }));
  } else {
    drawing.append(svg('path', { class: `head ${step.kind}`, d: `M${to} ${y}l${back * 9} -4.5v9z` }));
  }
}

function note(drawing, { from, to, lines, top, bottom }) {
  const [left, right] = from === to ? [from - 120, from + 120] : [Math.min(from, to) - 30, Math.max(from, to) + 30];
  const x = Math.max(2, left);
  drawing.append(svg('rect', { class: 'note-box', x, y: top, width: right - x, height: bottom - top, rx: 4 }));
  lines.forEach((line, index) => drawing.append(text(line, (x + right) / 2, top + (index + 1) * LINE + 2, 'note-text')));
}

function text(value, x, y, name) {
  const made = svg('text', { x, y, class: name, 'text-anchor': 'middle' });
  made.textContent = value;
  return made;
}
