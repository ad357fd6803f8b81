// Calls as they end, filtered; each opens with its attempts.

import { get } from './actions.js';
import { openCall } from './call.js';
import { badge, byId, el, say, set } from './dom.js';
import { Table, opener } from './table.js';
import { clean, clock, count, milliseconds, money } from './text.js';

const KINDS = [['', 'All calls'], ['bad', 'Errors'], ['mended', 'Mended'], ['4xx', 'Status 4xx'], ['5xx', 'Status 5xx'], ['stream', 'Streams'], ['slow', 'Over 2 s']];

const MODELS = 50; // that can be chosen

export class Calls {
  constructor(store) {
    this.store = store;
    this.held = null; // calls as they were when the list was paused
    this.models = new Set(); // that were seen: callers may invent any number
    this.found = []; // older ones that a filter has asked for
    this.kind = el('select', { class: 'field', 'aria-label': 'Which calls', onchange: () => this.ask() },
      ...KINDS.map(([value, text]) => el('option', { value, text })));
    this.route = el('select', { class: 'field', 'aria-label': 'Route', onchange: () => this.ask() });
    this.model = el('select', { class: 'field', 'aria-label': 'Model', hidden: true, onchange: () => this.ask() });
    this.pause = el('button', { type: 'button', class: 'button', 'aria-pressed': 'false', text: 'Pause', onclick: () => this.hold() });
    this.more = el('span', { class: 'muted note' });
    this.table = new Table(byId('calls-table'), {
      name: 'calls', caption: 'Calls', size: 15, key: (call) => call.id,
      words: (call) => [call.id, call.status, call.why, call.model, call.answered, call.path, call.route, call.upstream, call.endpoint, call.team, call.method, ...(call.tries ?? [])].join(' '),
      empty: () => this.nothing(),
      tools: [this.route, this.model, this.kind, this.pause],
      stays: true,
      filtered: () => this.askSoon(),
      open: (made) => this.open(made.data),
      columns: [
        { id: 'time', label: 'Ended', show: (cell, call, made) => this.time(cell, call, made) },
        { id: 'status', label: 'Status', show: status },
        { id: 'took', label: 'Took', num: true, show: (cell, call) => say(cell, milliseconds(call.ms)) },
        { id: 'first', label: 'First', num: true, hint: 'To the first token of a stream', show: (cell, call) => say(cell, call.first_ms ? milliseconds(call.first_ms) : '–') },
        { id: 'tokens', label: 'Tokens', num: true, hint: 'Read → made; ~ where the sidecar estimated them', show: (cell, call) => say(cell, tokens(call)) },
        { id: 'cost', label: 'Cost', num: true, show: (cell, call) => say(cell, call.cost ? money(call.cost) : '–') },
        { id: 'tries', label: 'Mended by', show: tries },
        { id: 'what', label: 'Model', show: model },
        { id: 'where', label: 'Call', class: 'wide', show: where },
      ],
    });
    this.table.status.after(this.more);
  }

  draw() {
    this.drawRoutes();
    const { store } = this;
    const calls = this.held ?? store.calls;
    const known = new Set(calls.map((call) => call.id));
    const all = [...calls, ...this.found.filter((call) => !known.has(call.id))];
    this.table.update(all.filter((call) => this.fits(call)).sort((a, b) => b.time + b.ms / 1e3 - (a.time + a.ms / 1e3)));
    say(this.more, store.missed && !this.found.length ? `${count(store.missed)} more ended too fast to be listed; a filter looks at all that are kept` : '');
    say(this.pause, this.held ? 'Resume' : 'Pause');
    set(this.pause, 'aria-pressed', String(Boolean(this.held)));
  }

  fits(call) {
    if (this.route.value && (call.route || 'none') !== this.route.value) return false;
    if (this.model.value && ![call.model, call.answered].includes(this.model.value)) return false;
    const status_ = call.status ?? 0;
    switch (this.kind.value) {
      case 'bad': return Boolean(call.bad);
      case 'mended': return !call.bad && (call.tries?.length ?? 0) > 0;
      case '4xx': return status_ >= 400 && status_ < 500;
      case '5xx': return status_ >= 500;
      case 'stream': return Boolean(call.stream);
      case 'slow': return call.ms > 2000;
      default: return true;
    }
  }

  askSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.ask(), 300);
  }

  /** Look for older calls that fit: those that were not listed, or not here yet. */
  async ask() {
    this.found = [];
    this.draw();
    const query = { limit: 1000 };
    if (this.route.value && this.route.value !== 'none') query.route = this.route.value;
    if (this.model.value) query.model = this.model.value;
    if (this.kind.value === 'bad') query.errors = 'true';
    if (/^.xx$/.test(this.kind.value)) query.status = this.kind.value;
    if (this.kind.value === 'slow') query.min_ms = 2000;
    if (![this.kind.value, this.route.value, this.model.value, this.table.text].some(Boolean)) return;
    try {
      this.found = (await get('/calls', query)).map(lineOf);
    } catch {
      return; // the stream says that the sidecar is gone
    }
    this.draw();
  }

  drawRoutes() {
    const routes = Object.values(this.store.tables.routes).filter((row) => row.match || row.calls).sort((a, b) => a.n - b.n);
    choices(this.route, 'All routes', routes.map((row) => row.name));
    for (const call of this.store.calls) if (call.model && this.models.size < MODELS) this.models.add(call.model);
    choices(this.model, 'All models', [...this.models].sort());
  }

  hold() {
    this.held = this.held ? null : this.store.calls;
    this.draw();
  }

  time(cell, call) {
    if (!cell.firstChild) cell.append(opener('', () => this.open(call)));
    const ended = clock(call.time + call.ms / 1000);
    say(cell.firstChild, ended);
    set(cell.firstChild, 'aria-label', `${ended}, open the call ${call.id.slice(0, 8)}`);
  }

  open(call) {
    openCall(this.store, call.id);
  }

  nothing() {
    const listener = Object.keys(this.store.tables.listeners)[0] ?? 'the sidecar';
    return el('p', {}, 'No call yet. Point an SDK at the sidecar: ',
      el('code', { text: `OPENAI_BASE_URL=http://${listener}/v1` }), ', or send one with curl. Calls appear here as they end.');
  }
}

/** Have *select* offer *names*. */
function choices(select, all, names) {
  const key = names.join('\n');
  if (select.key === key) return;
  select.key = key;
  const { value } = select;
  select.replaceChildren(el('option', { value: '', text: all }), ...names.map((name) => el('option', { value: name, text: clean(name, 60) })));
  select.value = names.includes(value) ? value : '';
  select.hidden = names.length < 2;
}

/** A line of the list, of a record of `/calls`. */
export function lineOf(record) {
  const bad = record.status >= 400 || !record.status || Boolean(record.error) || !['', 'complete', undefined].includes(record.verdict);
  const why = record.error || (record.verdict === 'error' ? record.failure || 'error' : record.verdict === 'complete' ? '' : record.verdict);
  return {
    id: record.request_id, time: Date.parse(record.time) / 1000, ms: record.duration_ms ?? 0, status: record.status, bad, why,
    route: record.route, upstream: record.upstream, endpoint: record.endpoint, model: record.model, answered: record.model_answered,
    method: record.method, path: record.path, stream: record.stream, first_ms: record.first_token_ms, input: record.input_tokens,
    output: record.output_tokens, estimated: record.estimated, cost: record.cost, cache: record.cache, team: record.team,
    tries: (record.tries ?? []).slice(1, 6).map((one) => (one.after ? `${one.why} after ${one.after}` : one.why)),
  };
}

export function tokens(call) {
  if (!call.input && !call.output) return '–';
  return `${call.estimated ? '~' : ''}${count(call.input ?? 0)}→${count(call.output ?? 0)}`;
}

export function statusLevel(call) {
  if (!call.bad) return 'ok';
  return (call.status ?? 0) >= 500 || call.error ? 'bad' : 'warn';
}

function status(cell, call) {
  if (!cell.firstChild) cell.append(badge(''), el('span', { class: 'under muted' }));
  say(cell.firstChild, call.status ? String(call.status) : 'left');
  set(cell.firstChild, 'class', `badge ${statusLevel(call)}`);
  say(cell.lastChild, clean(call.why ?? ''));
}

function tries(cell, call) {
  if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'under muted' }));
  const list = call.tries ?? [];
  say(cell.firstChild, list.length ? clean(list[0]) : call.cache === 'hit' ? 'cache' : '–');
  set(cell.firstChild, 'class', list.length ? null : 'muted');
  say(cell.lastChild, list.length > 1 ? `and ${list.length - 1} more` : '');
  set(cell, 'title', list.map((each) => clean(each)).join(', ') || null);
}

function model(cell, call) {
  if (!cell.firstChild) cell.append(el('span', { class: 'cut' }), el('span', { class: 'under muted cut' }));
  say(cell.firstChild, call.model ? clean(call.model, 80) : '–');
  set(cell.firstChild, 'title', call.model ? clean(call.model) : null);
  say(cell.lastChild, call.answered ? `by ${clean(call.answered, 80)}` : '');
}

function where(cell, call) {
  if (!cell.firstChild) cell.append(el('span', { class: 'cut mono' }), el('span', { class: 'under muted cut' }));
  say(cell.firstChild, clean(`${call.method ?? ''} ${call.path ?? ''}`.trim() || 'a call'));
  say(cell.lastChild, clean([call.route || 'no route', call.endpoint].filter(Boolean).join(' · ')));
}
