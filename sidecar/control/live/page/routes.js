// Routes, and the budgets that they share.

import { byId, el, meter, say, set } from './dom.js';
import { Chart, Spark } from './lines.js';
import { quantiles } from './overview.js';
import { BINS } from './series.js';
import { Table, opener } from './table.js';
import { clean, count, listed, milliseconds, money, percent, rate, short } from './text.js';

export class Routes {
  constructor(store) {
    this.store = store;
    const series = (row) => store.series(row.name);
    const [now, since] = [() => store.now, () => store.since];
    this.table = new Table(byId('routes-table'), {
      name: 'routes', caption: 'Routes', size: 10, key: (row) => row.name,
      words: (row) => `${row.name} ${matches(row)} ${(row.upstreams ?? []).join(' ')} ${(row.policies ?? []).join(' ')}`,
      empty: () => el('p', { text: 'No route is configured. Add one under `routes` in the configuration: the first that matches takes a call.' }),
      open: (made) => this.toggle(made),
      columns: [
        { id: 'name', label: 'Route', value: (row) => row.n, show: (cell, row, made) => this.name(cell, row, made) },
        { id: 'rate', label: 'Calls/s', num: true, value: (row) => series(row).rate('calls', now(), since()),
          show: (cell, row) => say(cell, rate(series(row).rate('calls', now(), since()))) },
        { id: 'success', label: 'Success', num: true, hint: 'In five minutes, of calls that did not fail by their caller’s fault; below, without retries, hedges and fallbacks',
          value: (row) => share(series(row), 'ok', now()), show: (cell, row) => success(cell, series(row), now()) },
        { id: 'first', label: 'First token', num: true, hint: 'p50 and p95 of five minutes: to the first token of a stream, or to the answer',
          value: (row) => series(row).quantile(0.95, now()), show: (cell, row) => this.first(cell, series(row)) },
        { id: 'tokens', label: 'Tokens/min', num: true, value: (row) => tokens(series(row), now(), since()),
          show: (cell, row) => say(cell, short(tokens(series(row), now(), since()))) },
        { id: 'cost', label: 'Cost/min', num: true, value: (row) => series(row).perMinute('cost', now(), since()),
          show: (cell, row) => say(cell, money(series(row).perMinute('cost', now(), since()))) },
        { id: 'load', label: 'In flight', num: true, value: (row) => row.in_flight, show: (cell, row) => this.load(cell, row) },
      ],
    });
    this.budgets = new Map();
  }

  draw() {
    const rows = Object.values(this.store.tables.routes);
    // Calls without a route have a row of their own, once there was one.
    this.table.update(rows.filter((row) => row.match || row.calls).sort((a, b) => a.n - b.n));
    this.drawBudgets();
  }

  name(cell, row, made) {
    if (!cell.firstChild) {
      cell.append(opener('', () => this.toggle(made)), el('span', { class: 'under muted' }));
      set(cell.firstChild, 'aria-expanded', 'false');
    }
    say(cell.firstChild, row.match ? clean(row.name) : 'no route');
    const where = row.match ? `${matches(row)} → ${row.upstreams.map((name) => clean(name)).join(', ')}` : 'calls that no route takes';
    say(cell.lastChild, where);
    set(cell.lastChild, 'title', where);
  }

  first(cell, series) {
    const [p50, p95] = [series.quantile(0.5, this.store.now), series.quantile(0.95, this.store.now)];
    if (!cell.firstChild) {
      cell.spark = new Spark(['two', 'one']);
      cell.append(el('div', { class: 'with-spark' }, cell.spark.element, el('span', {}, el('span'), el('span', { class: 'under muted' }))));
    }
    const [value, under] = cell.firstChild.lastChild.children;
    say(value, p50 === null ? '–' : milliseconds(p50));
    say(under, p95 === null ? '' : `p95 ${milliseconds(p95)}`);
    cell.spark.update(quantiles(series, this.store.now, this.store.since),
      p50 === null ? 'No answer in five minutes' : `First token over five minutes: now p50 ${milliseconds(p50)}, p95 ${milliseconds(p95)}`);
  }

  load(cell, row) {
    const queues = (row.upstreams ?? []).map((name) => this.store.tables.upstreams[name]?.queue).filter(Boolean);
    if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'under muted' }), el('span', { class: 'bar' }));
    say(cell.children[0], count(row.in_flight));
    const queue = queues.sort((a, b) => b.queued / b.max_queued - a.queued / a.max_queued)[0];
    say(cell.children[1], queue ? `queue ${count(queue.queued)}/${count(queue.max_queued)}` : '');
    if (!queue) return cell.children[2].replaceChildren();
    const fill = queue.queued ? queue.queued / Math.max(1, queue.max_queued) : 0;
    const busy = queue.in_flight / Math.max(1, queue.max_in_flight);
    const key = `${fill} ${busy}`;
    if (cell.key === key) return undefined;
    cell.key = key;
    return cell.children[2].replaceChildren(meter(queue.queued ? fill : busy,
      queue.queued ? `The queue is ${percent(queue.queued, queue.max_queued)} full` : `${count(queue.in_flight)} of ${count(queue.max_in_flight)} calls in flight`,
      fill > 0.8 ? 'bad' : queue.queued ? 'warn' : ''));
  }

  toggle(made) {
    const open = made.detail === null || made.detail === undefined;
    set(made.cells[0].firstChild, 'aria-expanded', open);
    made.row.classList.toggle('opened', open);
    if (!open) {
      made.redraw = null;
      this.table.expand(made, null);
      return;
    }
    const detail = new Detail(this.store, made.data);
    this.table.expand(made, detail.element);
    made.redraw = (row) => detail.draw(row);
    made.redraw(made.data);
  }

  drawBudgets() {
    const rows = Object.values(this.store.tables.budgets);
    const place = byId('budgets');
    if (!rows.length) return place.replaceChildren();
    if (!place.firstChild) {
      this.list = el('ul', { class: 'budgets' });
      place.append(el('div', { class: 'card' }, el('h3', { class: 'card-title', text: 'Budgets' }), this.list));
      this.budgets.clear();
    }
    for (const row of rows) this.budget(row);
    for (const [name, item] of this.budgets) {
      if (this.store.tables.budgets[name]) continue;
      item.remove();
      this.budgets.delete(name);
    }
    return undefined;
  }

  budget(row) {
    let item = this.budgets.get(row.name);
    if (!item) {
      item = el('li', {}, el('span', { class: 'budget-name' }), el('span', { class: 'muted' }), el('span', { class: 'bar' }));
      this.list.append(item);
      this.budgets.set(row.name, item);
    }
    const share_ = row.spent / row.amount;
    const amounts = row.unit === 'money' ? `${money(row.spent)} of ${money(row.amount)}` : `${short(row.spent)} of ${short(row.amount)} tokens`;
    const whose = row.client ? `, ${clean(row.client)} has spent most of ${count(row.clients)}` : '';
    const over = row.exceeded ? `, ${count(row.exceeded)} calls found it spent` : '';
    say(item.children[0], clean(row.name));
    const note = `${amounts} per ${row.per}, ${clean(row.period)}${whose}${over}`;
    say(item.children[1], note);
    if (item.dataset.share !== String(share_)) {
      item.dataset.share = share_;
      item.children[2].replaceChildren(meter(share_, `${clean(row.name)}: ${note}`, share_ >= 1 ? 'bad' : share_ > 0.8 ? 'warn' : ''));
    }
  }
}

/** What is shown of a route that was opened. */
class Detail {
  constructor(store) {
    this.store = store;
    this.chart = new Chart(['two', 'one'], (value) => milliseconds(value));
    this.facts = el('dl', { class: 'facts inner' });
    this.element = el('div', { class: 'opened-body' },
      el('figure', {}, el('figcaption', {}, 'Time to the first token: ', el('span', { class: 'key one', text: 'p50' }), ' ', el('span', { class: 'key two', text: 'p95' })), this.chart.element),
      this.facts);
  }

  draw(row) {
    const { now, since } = this.store;
    const series = this.store.series(row.name);
    this.chart.update(quantiles(series, now, since, BINS), 'Time to the first token over five minutes, p50 and p95');
    const facts = [
      ['Calls', `${count(row.calls)} since the start`, listed(row.outcomes)],
      ['Statuses', listed(row.statuses) || '–', ''],
      ['Retries', listed(row.retries) || 'none', row.budget_exhausted ? `${count(row.budget_exhausted)} more were not allowed by the budget` : ''],
      ['Hedges', row.hedges ? `${count(row.hedges)}, ${count(row.hedges_won)} were faster` : 'none', ''],
      ['Fallbacks', listed(row.fallbacks) || 'none', ''],
      ['Errors of ours', listed(row.errors) || 'none', ''],
      ['Limited', listed(row.limited) || 'none', ''],
      ['Cache', listed(row.cache) || 'not used', row.saved ? `${money(row.saved)} saved` : ''],
      ['Tokens', `${short(row.input)} read, ${short(row.output)} made`, row.cost ? `cost ${money(row.cost)}` : ''],
      ['Policy', (row.policies ?? []).map((name) => clean(name)).join(', ') || '–', ''],
    ];
    const key = JSON.stringify(facts);
    if (this.key === key) return;
    this.key = key;
    this.facts.replaceChildren(...facts.map(([name, value, note]) =>
      el('div', { class: 'fact' }, el('dt', { text: name }), el('dd', { class: 'fact-value', text: value }), el('dd', { class: 'muted', text: note }))));
  }
}

const ended = (series, now) => series.sum('ok', now) + series.sum('failed', now);
const share = (series, field, now) => (ended(series, now) ? series.sum(field, now) / ended(series, now) : null);
const tokens = (series, now, since) => series.perMinute('input', now, since) + series.perMinute('output', now, since);

function success(cell, series, now) {
  const total = ended(series, now);
  const [ok, first] = [series.sum('ok', now), series.sum('first_ok', now)];
  if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'under muted' }));
  const [value, under] = cell.children;
  say(value, percent(ok, total));
  set(value, 'class', total && ok / total < 0.99 ? (ok / total < 0.9 ? 'bad-text' : 'warn-text') : null);
  say(under, total && first < ok ? `${percent(first, total)} at first` : '');
}

/** What a route takes, in a line. */
export function matches(row) {
  const one = (match) => {
    const parts = [match.method, `${match.host ?? ''}${match.path ?? (match.host ? '' : '/')}`];
    if (match.model) parts.push(`model ${match.model}`);
    for (const [name, value] of Object.entries(match.headers ?? {})) parts.push(`${name}: ${value}`);
    return clean(parts.filter(Boolean).join(' '), 120);
  };
  return (row.match ?? []).map(one).join(' or ');
}

