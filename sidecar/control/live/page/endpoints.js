// Endpoints and keys, and what an operator may change of them at run time.

import { dialog, confirm, post } from './actions.js';
import { badge, byId, el, meter, say, set } from './dom.js';
import { all } from './store.js';
import { Table } from './table.js';
import { clean, count, digits, listed, milliseconds, percent, seconds } from './text.js';

/** States of endpoints (`sidecar/control/live/view.py`): how they are called, how bad they are, their order. */
export const STATES = {
  in_use: ['in use', 'ok', 5],
  half_open: ['trial', 'warn', 3],
  cooling: ['cooling', 'warn', 3],
  drained: ['drained', '', 2],
  forced_open: ['held open', '', 2],
  weight_0: ['weight 0', '', 2],
  no_address: ['no address', 'bad', 1],
  open: ['breaker open', 'bad', 1],
  down: ['unhealthy', 'bad', 0],
};

export const keyOf = (row) => `${row.upstream}\n${row.name}`;

export class Endpoints {
  constructor(store) {
    this.store = store;
    this.upstream = '';
    this.choice = el('select', { class: 'field', 'aria-label': 'Upstream', onchange: () => {
      this.upstream = this.choice.value;
      this.draw();
    } });
    this.table = new Table(byId('endpoints-table'), {
      name: 'endpoints', caption: 'Endpoints', size: 10, key: keyOf, sorted: { column: 'state', down: false },
      words: (row) => `${row.name} ${row.upstream} ${STATES[row.state]?.[0]} ${row.reason} ${Object.entries(row.labels).map((pair) => pair.join('=')).join(' ')}`,
      empty: () => el('p', { text: 'No endpoint yet. Name some under `upstreams` in the configuration; those of a name or a template appear with their first call.' }),
      tools: [this.choice],
      columns: [
        { id: 'name', label: 'Endpoint', value: (row) => row.n, show: (cell, row, made) => this.name(cell, row, made) },
        { id: 'state', label: 'State', value: (row) => (STATES[row.state]?.[2] ?? 4) * 1e6 + row.n, show: state },
        { id: 'share', label: 'Share', num: true, hint: 'Of the attempts at its upstream in the last minute', value: (row) => store.attempts(keyOf(row)), show: (cell, row) => this.share(cell, row) },
        { id: 'weight', label: 'Weight', num: true, value: (row) => row.weight, show: weight },
        { id: 'latency', label: 'Latency', num: true, hint: 'Average to the first content of the last attempts', value: (row) => row.latency_ms || null, show: (cell, row) => say(cell, row.latency_ms ? milliseconds(row.latency_ms) : '–') },
        { id: 'load', label: 'Load', num: true, hint: 'Attempts in flight; below, what the endpoint reports', value: (row) => row.in_flight, show: load },
        { id: 'failed', label: 'Failed', num: true, hint: 'Of all attempts since the start', value: (row) => failures(row) / Math.max(1, row.attempts), show: failed },
        { id: 'change', label: 'Change', class: 'act', show: (cell, row, made) => this.change(cell, row, made) },
      ],
    });
    this.keys = new Keys(store);
  }

  draw() {
    const { endpoints, upstreams } = this.store.tables;
    this.drawChoice(Object.keys(upstreams));
    this.totals = new Map();
    for (const row of Object.values(endpoints)) {
      this.totals.set(row.upstream, (this.totals.get(row.upstream) ?? 0) + this.store.attempts(keyOf(row)));
    }
    const rows = Object.values(endpoints).filter((row) => !this.upstream || row.upstream === this.upstream);
    this.table.update(rows);
    this.keys.draw();
  }

  drawChoice(names) {
    const key = names.join('\n');
    if (this.names === key) return;
    this.names = key;
    if (!names.includes(this.upstream)) this.upstream = '';
    this.choice.replaceChildren(el('option', { value: '', text: 'All upstreams' }),
      ...names.map((name) => el('option', { value: name, text: clean(name), selected: name === this.upstream })));
    this.choice.hidden = names.length < 2;
  }

  name(cell, row) {
    if (!cell.firstChild) cell.append(el('span', { class: 'strong' }), el('span', { class: 'under muted' }));
    say(cell.firstChild, clean(row.name));
    set(cell.firstChild, 'title', row.name);
    const labels = Object.entries(row.labels).map(([name, value]) => `${name}=${value}`).join(', ');
    say(cell.lastChild, clean(labels ? `${row.upstream} · ${labels}` : row.upstream));
  }

  share(cell, row) {
    const [part, total] = [this.store.attempts(keyOf(row)), this.totals.get(row.upstream)];
    if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'bar' }));
    const text = total ? percent(part, total) : '–';
    if (cell.firstChild.textContent === text) return;
    say(cell.firstChild, text);
    cell.lastChild.replaceChildren(...(total ? [meter(part / total, `${text} of the attempts in the last minute`)] : []));
  }

  change(cell, row, made) {
    if (cell.firstChild) return;
    cell.append(el('button', { type: 'button', class: 'button small', text: 'Change', 'aria-label': `Change ${clean(row.name)}`,
      onclick: () => this.open(made.data) }));
  }

  /** Everything that may be set at run time, in one dialog; each change is confirmed in it. */
  open(row) {
    const where = { upstream: row.upstream, endpoint: row.name };
    const override = row.override ?? {};
    const input = el('input', { type: 'number', class: 'field', id: 'weight', min: 0, max: 1000, step: 'any', value: row.weight });
    const choice = el('select', { class: 'field', id: 'breaker' },
      ...[['auto', 'automatic: by its results'], ['open', 'held open: no attempts'], ['closed', 'held closed: attempts whatever happens']].map(([value, text]) =>
        el('option', { value, text, selected: value === (override.breaker ?? 'auto') })));
    const drained = el('input', { type: 'checkbox', id: 'drained', checked: Boolean(override.drained) });
    const asked = el('p', { class: 'note', text: 'Changes apply from the next attempt on. They survive reloads, and end with the sidecar.' });
    const auto = el('input', { type: 'checkbox', id: 'weight-auto', checked: override.weight === null || override.weight === undefined,
      onchange: () => { input.disabled = auto.checked; } });
    input.disabled = auto.checked;
    const content = el('div', { class: 'form' },
      el('p', {}, badge(...(STATES[row.state] ?? [row.state, '']).slice(0, 2)), ' ', clean(row.reason)),
      el('div', { class: 'row' }, drained, el('label', { for: 'drained', text: 'Drain: no new attempts; those under way end by themselves' })),
      el('div', { class: 'row' }, auto, el('label', { for: 'weight-auto', text: 'Weight as the configuration says' })),
      el('div', { class: 'row' }, el('label', { for: 'weight', text: 'Weight' }), input),
      el('div', { class: 'row' }, el('label', { for: 'breaker', text: 'Breaker' }), choice),
      asked);
    const wanted = () => { // what is set now may differ from what was when the dialog opened
      const now = this.store.tables.endpoints[keyOf(row)]?.override ?? {};
      return changes({ drained: drained.checked, weight: auto.checked ? null : input.value, breaker: choice.value }, now);
    };
    return dialog({ title: `Change ${clean(row.name)}`, content, name: 'change', actions: [{
      label: 'Apply', level: 'strong', run: async () => {
        if (!auto.checked && !(input.value && input.checkValidity())) throw new Error('The weight must be a number from 0 to 1,000.');
        const steps = wanted();
        if (!steps.length) throw new Error('Nothing was changed.');
        confirm('Apply these changes?', `${clean(row.name)} of ${clean(row.upstream)}: ${steps.map((step) => step.said).join('; ')}.`, 'Yes, apply', async () => {
          for (const step of steps) await post(this.store, step.path, { ...where, ...step.query });
        });
      } }] });
  }
}

/** The requests that turn what is set into what is wanted. */
export function changes(wanted, override) {
  const steps = [];
  if (wanted.drained !== Boolean(override.drained)) {
    steps.push({ path: wanted.drained ? '/upstreams/drain' : '/upstreams/undrain', query: {}, said: wanted.drained ? 'drain it' : 'end its drain' });
  }
  const before = override.weight ?? null;
  const weight_ = wanted.weight === null ? null : Number(wanted.weight);
  if (weight_ !== before) {
    steps.push({ path: '/upstreams/weight', query: { weight: weight_ ?? 'auto' }, said: weight_ === null ? 'weight as the configuration says' : `weight ${weight_}` });
  }
  if (wanted.breaker !== (override.breaker ?? 'auto')) {
    steps.push({ path: '/upstreams/breaker', query: { state: wanted.breaker }, said: { auto: 'breaker automatic', open: 'hold its breaker open', closed: 'hold its breaker closed' }[wanted.breaker] });
  }
  return steps;
}

function state(cell, row) {
  const [word, level] = STATES[row.state] ?? [row.state, ''];
  if (!cell.firstChild) cell.append(badge('', ''), el('span', { class: 'under muted' }));
  say(cell.firstChild, word);
  set(cell.firstChild, 'class', `badge ${level}`);
  const left = row.until ? row.until - Date.now() / 1000 : 0;
  say(cell.lastChild, [clean(row.reason, 160), left > 0 ? `${seconds(left + 0.5)} left` : ''].filter(Boolean).join(', '));
  set(cell.lastChild, 'title', row.reason || null);
}

function weight(cell, row) {
  if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'under muted' }));
  say(cell.firstChild, digits(row.weight, 4));
  say(cell.lastChild, row.override && row.override.weight !== null ? 'set here' : '');
}

function load(cell, row) {
  if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'under muted' }));
  say(cell.firstChild, count(row.in_flight));
  const told = row.reported;
  if (!told) return say(cell.lastChild, row.waiting ? `${count(row.waiting)} wait` : '');
  const parts = [`${count(told.running)} run`, `${count(told.queued)} wait`];
  if (told.kv_used) parts.push(`KV ${percent(told.kv_used, 1)}`);
  if (told.utilization) parts.push(`GPU ${percent(told.utilization, 1)}`);
  return say(cell.lastChild, parts.join(', '));
}

function failures(row) {
  let bad = 0;
  for (const [status, number] of Object.entries(row.statuses)) if (Number(status) >= 400 || status === '0') bad += number;
  return bad;
}

function failed(cell, row) {
  if (!cell.firstChild) cell.append(el('span'), el('span', { class: 'under muted' }));
  const bad = failures(row);
  say(cell.firstChild, row.attempts ? percent(bad, row.attempts) : '–');
  const errors = all(row.errors) ? listed(row.errors, 2) : '';
  const statuses = Object.fromEntries(Object.entries(row.statuses).filter(([status]) => Number(status) >= 400));
  say(cell.lastChild, [listed(statuses, 2), errors].filter(Boolean).join(', ') || (row.attempts ? `of ${count(row.attempts)}` : ''));
  set(cell.lastChild, 'title', cell.lastChild.textContent);
}

const KEY_STATES = { in_use: ['in use', 'ok'], cooling: ['cooling', 'warn'], restricted: ['restricted', 'warn'], refused: ['refused', 'bad'] };

/** The keys of upstreams that have several. */
class Keys {
  constructor(store) {
    this.store = store;
  }

  draw() {
    const rows = Object.values(this.store.tables.upstreams).flatMap((upstream) =>
      upstream.keys.map((key) => ({ ...key, upstream: upstream.name })));
    byId('keys').hidden = !rows.length;
    if (!rows.length) return;
    this.table ??= this.make();
    this.table.update(rows);
  }

  make() {
    byId('keys').append(el('h3', { class: 'card-title', text: 'Keys' }));
    return new Table(byId('keys'), {
      name: 'keys', caption: 'Keys', size: 10, key: (row) => `${row.upstream}\n${row.name}`,
      words: (row) => `${row.name} ${row.upstream} ${row.ends} ${row.state}`, empty: () => el('p'),
      columns: [
        { id: 'name', label: 'Key', value: (row) => row.name, show: (cell, row) => {
          if (!cell.firstChild) cell.append(el('span', { class: 'strong' }), ' ', el('code', { class: 'muted' }), el('span', { class: 'under muted' }));
          say(cell.firstChild, clean(row.name));
          say(cell.children[1], row.ends);
          say(cell.lastChild, clean(row.upstream));
        } },
        { id: 'state', label: 'State', value: (row) => row.state, show: keyState },
        { id: 'weight', label: 'Weight', num: true, value: (row) => row.weight, show: (cell, row) => say(cell, digits(row.weight, 4)) },
        { id: 'attempts', label: 'Attempts', num: true, value: (row) => all(row.attempts), show: (cell, row) => say(cell, listed(row.attempts) || '0') },
        { id: 'cooldowns', label: 'Cool-downs', num: true, value: (row) => row.cooldowns, show: (cell, row) => say(cell, count(row.cooldowns)) },
        { id: 'restore', label: 'Change', class: 'act', show: (cell, row, made) => this.restore(cell, row, made) },
      ],
    });
  }

  restore(cell, row, made) {
    if (!cell.firstChild) {
      cell.append(el('button', { type: 'button', class: 'button small', text: 'Use again', 'aria-label': `Use the key ${clean(row.name)} again`,
        onclick: () => confirm('Use this key again?', `${clean(made.data.name)} of ${clean(made.data.upstream)} is ${made.data.state}. It gets attempts again at once.`, 'Yes, use it',
          () => post(this.store, '/keys/restore', { upstream: made.data.upstream, key: made.data.name })) }));
    }
    cell.firstChild.hidden = row.state === 'in_use';
  }
}

function keyState(cell, row) {
  if (!cell.firstChild) cell.append(badge('', ''), el('span', { class: 'under muted' }));
  const [word, level] = KEY_STATES[row.state] ?? [row.state, ''];
  say(cell.firstChild, word);
  set(cell.firstChild, 'class', `badge ${level}`);
  const cooling = Object.entries(row.cooling_s).map(([model, left]) => `${clean(model) || 'all models'} for ${seconds(left)}`);
  say(cell.lastChild, row.refused ? clean(row.refused) : cooling.join(', ') || row.forbidden_models.map((model) => clean(model)).join(', '));
}

