// A table that stays quick with thousands of rows: it shows a page of them, sorted and filtered.

import { el, say, set } from './dom.js';
import { count } from './text.js';

const SETTLED = 3000; // milliseconds between two changes of the order

/**
 * `columns`: {id, label, num, hint, value(row) to sort by, show(cell, row)}; the first names the row.
 * `key(row)` tells rows apart, `words(row)` is what the filter looks at.
 */
export class Table {
  constructor(place, { name, caption, columns, key, words, size = 10, empty, tools = [], open, sorted, stays = false, filtered }) {
    const narrow = matchMedia('(max-width: 760px)').matches; // there each row takes a third of a screen
    Object.assign(this, { name, columns, key, words, size: narrow ? 5 : size, empty, open, stays, filtered });
    this.sorted = sorted ?? null; // {column, down}
    this.page = 0;
    this.text = '';
    this.rows = [];
    this.made = new Map();
    this.order = [];
    this.orderedAt = 0;
    this.build(place, caption, tools);
  }

  build(place, caption, tools) {
    this.filter = el('input', { type: 'search', id: `${this.name}-filter`, class: 'field grow',
      placeholder: 'Filter', 'aria-label': `Filter ${caption.toLowerCase()}`, autocomplete: 'off', spellcheck: 'false',
      oninput: () => this.refilter() });
    this.status = el('span', { class: 'muted' });
    const heads = this.columns.map((column) => this.head(column));
    this.body = el('tbody');
    this.table = el('table', { class: 'table', id: `${this.name}-rows` },
      el('caption', { class: 'hidden', text: caption }),
      el('thead', {}, el('tr', {}, ...heads)), this.body);
    this.nothing = el('div', { class: 'empty', hidden: true });
    this.before = el('button', { class: 'button', text: 'Previous', type: 'button', onclick: () => this.turn(-1) });
    this.after = el('button', { class: 'button', text: 'Next', type: 'button', onclick: () => this.turn(1) });
    this.pager = el('div', { class: 'pager' }, this.status, el('span', { class: 'grow' }), this.before, this.after);
    this.tools = el('div', { class: 'tools' }, this.filter, ...tools);
    this.frame = el('div', { class: 'card' }, this.tools, this.table, this.nothing, this.pager);
    place.append(this.frame);
  }

  head(column) {
    const cell = el('th', { scope: 'col', class: column.num ? 'num' : null, title: column.hint });
    if (column.value) {
      const arrow = el('span', { class: 'arrow', 'aria-hidden': 'true' });
      cell.append(el('button', { type: 'button', class: 'sort', onclick: () => this.sort(column) }, column.label, arrow));
    } else {
      cell.append(column.label);
    }
    return (column.th = cell);
  }

  sort(column) {
    const down = this.sorted?.column === column.id ? !this.sorted.down : Boolean(column.num);
    this.sorted = { column: column.id, down };
    this.orderedAt = 0;
    this.page = 0;
    this.draw();
  }

  refilter() {
    this.text = this.filter.value.trim().toLowerCase();
    this.orderedAt = 0;
    this.page = 0;
    this.draw();
    this.filtered?.();
  }

  turn(by) {
    this.page += by;
    this.draw();
  }

  /** Show *rows*; `emptyNow` replaces what is said where there are none. */
  update(rows) {
    this.rows = rows;
    this.draw();
  }

  chosen() {
    const now = performance.now();
    // Rows do not move away under a pointer or a finger, nor from the keyboard's focus.
    const held = this.body.matches(':hover') || this.body.contains(document.activeElement);
    const due = this.orderedAt === 0 || (!held && now - this.orderedAt > SETTLED);
    const words = this.text.split(/\s+/).filter(Boolean);
    const rows = words.length
      ? this.rows.filter((row) => {
          const text = this.words(row).toLowerCase();
          return words.every((word) => text.includes(word));
        })
      : this.rows;
    if (!this.sorted) return rows;
    if (due) {
      this.orderedAt = now;
      const column = this.columns.find((each) => each.id === this.sorted.column);
      this.order = new Map([...rows].sort(by(column.value, this.sorted.down))
        .map((row, place) => [this.key(row), place]));
    }
    const last = rows.length;
    return [...rows].sort((a, b) => (this.order.get(this.key(a)) ?? last) - (this.order.get(this.key(b)) ?? last));
  }

  draw() {
    const rows = this.chosen();
    const pages = Math.max(1, Math.ceil(rows.length / this.size));
    this.page = Math.max(0, Math.min(this.page, pages - 1));
    const from = this.page * this.size;
    this.place(rows.slice(from, from + this.size));
    const of = this.rows.length === rows.length ? count(rows.length) : `${count(rows.length)} of ${count(this.rows.length)}`;
    say(this.status, pages > 1 ? `${count(from + 1)}–${count(Math.min(from + this.size, rows.length))} of ${of}` : of);
    this.pager.hidden = pages === 1 && this.rows.length <= this.size && !this.text;
    this.before.hidden = this.after.hidden = pages === 1;
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page === pages - 1;
    this.sayEmpty(rows.length);
    for (const column of this.columns) {
      const here = this.sorted?.column === column.id;
      set(column.th, 'aria-sort', here ? (this.sorted.down ? 'descending' : 'ascending') : null);
    }
  }

  sayEmpty(shown) {
    this.nothing.hidden = shown > 0;
    this.table.hidden = shown === 0;
    const few = this.rows.length <= this.size && !this.text; // then all are in sight
    this.filter.hidden = few && !this.stays;
    this.tools.hidden = this.filter.hidden && [...this.tools.children].every((tool) => tool.hidden);
    if (shown) return;
    const said = this.rows.length ? el('p', { text: 'Nothing fits the filter.' }) : this.empty();
    if (this.nothing.textContent !== said.textContent) this.nothing.replaceChildren(said);
  }

  /** Put *rows* into the body, in order, with as few changes as there can be. */
  place(rows) {
    const keys = new Set(rows.map(this.key));
    for (const [key, made] of this.made) {
      if (keys.has(key)) continue;
      made.row.remove();
      made.detail?.remove();
      this.made.delete(key);
    }
    let at = this.body.firstChild;
    for (const row of rows) {
      const made = this.made.get(this.key(row)) ?? this.make(row);
      if (made.row === at) at = at.nextSibling;
      else this.body.insertBefore(made.row, at);
      if (made.detail) {
        if (made.detail === at) at = at.nextSibling;
        else this.body.insertBefore(made.detail, at);
      }
      made.data = row;
      this.columns.forEach((column, index) => column.show(made.cells[index], row, made));
      made.redraw?.(row);
    }
  }

  make(row) {
    const cells = this.columns.map((column, index) =>
      el(index ? 'td' : 'th', { scope: index ? null : 'row', class: [column.num ? 'num' : '', column.class ?? ''].join(' ').trim() || null,
        'data-label': column.label }));
    const made = { row: el('tr', {}, ...cells), cells, data: row, detail: null };
    if (this.open) {
      made.row.classList.add('opens');
      made.row.addEventListener('click', (event) => {
        if (!event.target.closest('a, button, input, select') && !String(getSelection())) this.open(made);
      });
    }
    this.made.set(this.key(row), made);
    return made;
  }

  /** Show *content* below a row, or remove it. */
  expand(made, content) {
    made.detail?.remove();
    made.detail = content && el('tr', { class: 'detail' }, el('td', { colspan: this.columns.length }, content));
    if (made.detail) made.row.after(made.detail);
  }
}

function by(value, down) {
  const sign = down ? -1 : 1;
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return 0;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return (x < y ? -1 : 1) * sign;
  };
}

/** A button that opens something, as the name of a row. */
export function opener(text, action) {
  return el('button', { type: 'button', class: 'link', text, onclick: action });
}

