// What the stream has told: tables of rows, series of numbers, the latest calls.

import { BINS, Series, binOf } from './series.js';

const CALLS = 500; // lines of calls that are kept

export class Store {
  constructor() {
    this.tables = { state: {}, routes: {}, endpoints: {}, upstreams: {}, budgets: {}, listeners: {}, passed: {} };
    this.calls = [];
    this.missed = 0; // calls that ended and were not listed
    this.token = '';
    this.now = 0;
    this.since = 0; // Unix seconds since which no number is missing
    this.total = new Series();
    this.routes = new Map();
    this.shares = new Map(); // of endpoints: attempts, in bins
  }

  get state() {
    return this.tables.state[''] ?? null;
  }

  /** The series of a route. */
  series(name) {
    let found = this.routes.get(name);
    if (!found) this.routes.set(name, (found = new Series()));
    return found;
  }

  /** Take a message of the stream. */
  take(event, data) {
    if (event === 'snapshot') this.begin(data);
    else this.go(data);
  }

  begin(data) {
    const known = this.state !== null && this.state.started === data.tables.state[''].started;
    const before = this.tables;
    this.now = data.at;
    this.token = data.token;
    this.tables = data.tables;
    if (known) { // we were away or slow: what was counted meanwhile is known, but not its times
      this.count(before, data.tables.routes);
      this.countAttempts(before.endpoints, data.tables.endpoints);
      this.list(data.calls);
      return;
    }
    this.total = new Series();
    this.routes.clear();
    this.shares.clear();
    this.since = data.since;
    this.missed = 0;
    this.calls = data.calls.slice(0, CALLS);
    for (const [name, bins] of Object.entries(data.history)) {
      for (const [age, seen] of Object.entries(bins)) {
        this.series(name).add(binOf(data.at) - Number(age), seen);
        this.total.add(binOf(data.at) - Number(age), seen);
      }
    }
  }

  go(data) {
    this.now = data.at;
    const { routes, endpoints } = data.tables;
    if (routes?.set) this.count(this.tables, routes.set);
    if (endpoints?.set) this.countAttempts(this.tables.endpoints, endpoints.set);
    for (const [name, changed] of Object.entries(data.tables)) {
      const table = (this.tables[name] ??= {});
      for (const [key, fields] of Object.entries(changed.set ?? {})) {
        table[key] = { ...table[key], ...fields };
      }
      for (const key of changed.gone ?? []) {
        delete table[key];
        if (name === 'routes') this.routes.delete(key);
        if (name === 'endpoints') this.shares.delete(key);
      }
    }
    const bin = binOf(data.at);
    for (const [name, seen] of Object.entries(data.seen)) {
      const { calls, input, output, cost, ...times } = seen; // those are counted exactly below
      this.series(name).add(bin, times);
      this.total.add(bin, times);
    }
    this.missed += data.more_calls;
    this.list(data.calls);
  }

  /** Count what counters of routes have grown by. */
  count(before, rows) {
    const bin = binOf(this.now);
    for (const [key, row] of Object.entries(rows)) {
      const old = before.routes[key] ?? {};
      const grown = {};
      for (const field of ['calls', 'input', 'output', 'cost']) {
        if (field in row) grown[field] = Math.max(0, row[field] - (old[field] ?? 0));
      }
      if (row.retries) grown.retries = Math.max(0, all(row.retries) - all(old.retries ?? {}));
      this.series(key).add(bin, grown);
      this.total.add(bin, grown);
    }
  }

  countAttempts(before, rows) {
    const bin = binOf(this.now);
    for (const [key, row] of Object.entries(rows)) {
      if (!('attempts' in row)) continue;
      const grown = row.attempts - (before[key]?.attempts ?? 0);
      if (grown <= 0) continue;
      let bins = this.shares.get(key);
      if (!bins) this.shares.set(key, (bins = new Map()));
      bins.set(bin, (bins.get(bin) ?? 0) + grown);
      for (const old of bins.keys()) if (old <= bin - BINS) bins.delete(old);
    }
  }

  /** Attempts at an endpoint in the last minute. */
  attempts(key) {
    const from = binOf(this.now) - 12;
    let sum = 0;
    for (const [bin, number] of this.shares.get(key) ?? []) if (bin > from) sum += number;
    return sum;
  }

  list(calls) {
    if (!calls.length) return;
    const known = new Set(this.calls.map((call) => call.id));
    const fresh = calls.filter((call) => !known.has(call.id));
    this.calls = [...fresh, ...this.calls].slice(0, CALLS);
  }
}

export function all(counts) {
  let sum = 0;
  for (const number of Object.values(counts)) sum += number;
  return sum;
}
