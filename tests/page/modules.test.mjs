// The page's modules that need no browser.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { curlOf, quoted } from '../../sidecar/control/live/page/curl.js';
import { nice, path } from '../../sidecar/control/live/page/lines.js';
import { Series, quantile } from '../../sidecar/control/live/page/series.js';
import { Store } from '../../sidecar/control/live/page/store.js';
import { layout, wrap } from '../../sidecar/control/live/page/sequence.js';
import * as text from '../../sidecar/control/live/page/text.js';

function table(name, cases, run) {
  for (const [given, expected] of cases) test(`${name}: ${JSON.stringify(given)}`, () => assert.deepEqual(run(given), expected));
}

table('milliseconds', [[0, '0 ms'], [0.44, '0.4 ms'], [9.99, '10 ms'], [312.4, '312 ms'], [999.4, '999 ms'], [1240, '1.24 s'],
  [59_900, '59.9 s'], [125_000, '2 min 5 s']], text.milliseconds);
table('seconds', [[0, '0 s'], [59.9, '59 s'], [60, '1 min'], [7500, '2 h 5 min'], [3600, '1 h'], [86400 * 3 + 4 * 3600, '3 d 4 h'], [-3, '0 s']], text.seconds);
table('short', [[0, '0'], [0.0312, '0.0312'], [4.234, '4.23'], [999, '999'], [999.9, '1k'], [12_345, '12.3k'], [1_000_000, '1M'], [2.5e9, '2.5G']], text.short);
table('percent', [[[0, 0], '–'], [[0, 3], '0 %'], [[2, 3], '66.7 %'], [[9995, 10_000], '99.95 %'], [[3, 3], '100 %'], [[999_999, 1_000_000], '>99.99 %']],
  ([part, total]) => text.percent(part, total));
table('money', [[0, '0'], [1e-9, '<0.000001'], [0.00041, '0.00041'], [0.5, '0.50'], [1234.5678, '1,234.5678']], text.money);
table('rate', [[0, '0'], [0.001, '<0.01'], [11.94, '11.9']], text.rate);
table('bytes', [[512, '512 B'], [44_000_000, '42 MiB']], text.bytes);
table('clean', [['a\u202eb', 'a\\u202eb'], ['\u0000', '\\u0000'], ['line\nbreak', 'line\\u000abreak'], ['naïve 日本', 'naïve 日本'], ['<b>&amp;', '<b>&amp;']], (given) => text.clean(given));
test('a long text is cut', () => assert.equal([...text.clean('x'.repeat(500))].length, 300));
table('listed', [[{}, ''], [{ 503: 2, 429: 12 }, '429 × 12, 503 × 2'], [{ a: 0, b: 1 }, 'b × 1']], (given) => text.listed(given));
table('a quantile of a few', [[0.5, 2], [0.95, 3]], (share) => {
  const found = quantile(new Map([[text.short ? 1 : 0, 1], [2, 8], [3, 1]]), share);
  return Math.round(Math.log(found) / Math.log(1.1) + 0.5);
});
test('a quantile of nothing is unknown', () => assert.equal(quantile(new Map(), 0.5), null));
table('the top of a chart', [[0, 1], [0.3, 0.5], [1, 1], [1.2, 2], [499, 500], [501, 1000]], nice);

test('a line has gaps where nothing is known', () => {
  assert.equal(path([1, null, 0, 0], 3, 12, 0, 1), 'M0 1h1M2 11L3 11');
  assert.equal(path([null, null], 3, 12, 0, 1), '');
});

test('a series adds up, forgets after five minutes, and knows since when', () => {
  const series = new Series();
  const now = 1_000_000;
  for (let second = 0; second < 900; second += 1) series.add(Math.floor((now + second) / 5), { calls: 2, ok: 1, first: { 40: 1 } });
  const end = now + 899;
  assert.equal(series.bins.size, 60);
  assert.equal(series.sum('calls', end), 600);
  assert.equal(series.sum('ok', end, 60), 60);
  assert.ok(Math.abs(series.rate('calls', end, 0) - 2) < 0.2);
  assert.equal(series.perMinute('calls', end, 0), 120);
  const line = series.line(end + 60, 0, (bin) => bin.calls, 0);
  assert.deepEqual([line.length, line[0], line.at(-1)], [60, 10, 0]);
  assert.equal(series.line(end, end - 20, (bin) => bin.calls, 0).length, 12);
});

function snapshot(more = {}) {
  return { at: 1000, token: 't', since: 990, history: {}, calls: [], tables: { state: { '': { started: 1 } }, routes: {}, endpoints: {}, upstreams: {}, budgets: {}, listeners: {}, passed: {} }, ...more };
}

const delta = (more) => ({ at: 1001, tables: {}, seen: {}, calls: [], more_calls: 0, ...more });

test('a store follows the stream', () => {
  const store = new Store();
  const routes = { chat: { n: 0, calls: 5, input: 10, output: 0, cost: 0, retries: {} } };
  store.take('snapshot', snapshot({ tables: { ...snapshot().tables, routes }, history: { chat: { 0: { calls: 5, ok: 4, failed: 1 } } } }));
  store.take('delta', delta({ tables: { routes: { set: { chat: { calls: 8, input: 40, retries: { 503: 2 } } } } }, seen: { chat: { calls: 2, ok: 2 } } }));
  assert.equal(store.tables.routes.chat.calls, 8);
  assert.equal(store.series('chat').sum('calls', 1001), 8); // counters are exact, even if only two of three were seen
  assert.equal(store.total.sum('ok', 1001), 6);
  assert.equal(store.total.sum('input', 1001), 30);
  assert.equal(store.total.sum('retries', 1001), 2);
  store.take('delta', delta({ tables: { routes: { gone: ['chat'] } } }));
  assert.deepEqual(Object.keys(store.tables.routes), []);
});

test('after an absence the counters count on, and after a restart everything is new', () => {
  const store = new Store();
  const of = (calls) => ({ ...snapshot().tables, routes: { chat: { calls, input: 0, output: 0, cost: 0 } } });
  store.take('snapshot', snapshot({ tables: of(5) }));
  store.take('snapshot', snapshot({ at: 1020, tables: of(9) }));
  assert.equal(store.total.sum('calls', 1020), 4);
  store.take('snapshot', snapshot({ at: 1030, tables: { ...of(1), state: { '': { started: 2 } } } }));
  assert.equal(store.total.sum('calls', 1030), 0);
});

test('calls are kept in bounds, each once', () => {
  const store = new Store();
  store.take('snapshot', snapshot());
  for (let batch = 0; batch < 50; batch += 1) {
    store.take('delta', delta({ calls: Array.from({ length: 40 }, (_, index) => ({ id: `${batch} ${index}` })), more_calls: 3 }));
  }
  store.take('delta', delta({ calls: [{ id: '49 0' }] }));
  assert.deepEqual([store.calls.length, store.calls[0].id, store.missed], [500, '49 0', 150]);
});

table('wrapped', [['a b', ['a b']], ['x'.repeat(40), ['x'.repeat(30), 'x'.repeat(10)]], ['', []]], (given) => wrap(given));

test('the steps of a diagram lie below each other', () => {
  const step = (kind, source, target) => ({ at: 0, kind, source, target, lines: ['one', 'two'] });
  const { rows, columns, height } = layout({ participants: [{ id: 'app', name: 'application' }, { id: 'sidecar', name: 'sidecar' }, { id: 'e1', name: 'http://e' }],
    steps: [step('asks', 'app', 'sidecar'), step('note', 'sidecar', 'sidecar'), step('breaks', 'e1', 'sidecar')] });
  assert.deepEqual([...columns.values()], [84, 284, 484]);
  rows.reduce((before, row) => { assert.ok(row.top >= before); return row.bottom; }, 0);
  assert.ok(height > rows.at(-1).bottom);
});

/** What a shell makes of *command* with echo in curl's place. */
function shelled(command) {
  const script = `curl() { printf '%s\\0' "$@"; }\n${command}`;
  return execFileSync('/bin/sh', ['-c', script], { env: { OPENAI_API_KEY: 'k1', ANTHROPIC_API_KEY: 'k2', PATH: '' } }).toString().split('\0').slice(0, -1);
}

for (const [model, path_] of [['gpt-4o', '/v1/chat/completions'], ["it's $(touch /tmp/x) `id` \"q\" \\", '/v1/chat/completions'], ['m\nn; rm -rf /', "/v1/'; id #"]]) {
  test(`a shell takes the curl of ${JSON.stringify(model)} word by word`, () => {
    const given = shelled(curlOf({ method: 'POST', path: path_, model, stream: true }, '127.0.0.1:14001'));
    assert.deepEqual(given.slice(0, 4), ['-N', `http://127.0.0.1:14001${path_}`, '-H', 'authorization: Bearer k1']);
    assert.equal(JSON.parse(given.at(-1)).model, model);
  });
}

test('a curl command is of the dialect that was called', () => {
  const given = shelled(curlOf({ method: 'POST', path: '/v1/messages', model: 'claude', dialect: 'anthropic' }, '0.0.0.0:14001'));
  assert.ok(given.includes('x-api-key: k2'));
  assert.ok(given.includes('http://127.0.0.1:14001/v1/messages'));
  assert.equal(JSON.parse(given.at(-1)).max_tokens, 64);
  assert.equal(JSON.parse(shelled(curlOf({ path: '/v1/embeddings' }, 'a:1')).at(-1)).input, 'Hello');
  assert.deepEqual(shelled(curlOf({ method: 'GET', path: '/v1/models' }, '/run/s.sock')).slice(0, 3), ['--unix-socket', '/run/s.sock', 'http://localhost/v1/models']);
  assert.equal(quoted('a b'), "'a b'");
});
