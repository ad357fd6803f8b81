// The state of the sidecar, and what all routes together do.

import { byId, el, say, set } from './dom.js';
import { Spark } from './lines.js';
import { BIN, quantile } from './series.js';
import { bytes, clean, clock, count, milliseconds, money, percent, rate, seconds, short } from './text.js';

class Tile {
  constructor(title, hint, classes) {
    this.value = el('p', { class: 'tile-value' });
    this.note = el('p', { class: 'tile-note muted' });
    this.spark = new Spark(classes, { width: 200, height: 36 });
    this.element = el('div', { class: 'tile', title: hint },
      el('h3', { class: 'tile-title', text: title }), this.value, this.note, this.spark.element);
  }

  update(value, note, lines, label, bounds) {
    say(this.value, value);
    say(this.note, note);
    this.spark.update(lines, `${label}, over five minutes`, bounds);
  }
}

export class Overview {
  constructor() {
    this.calls = new Tile('Calls', 'Calls that ended, in a second', ['one']);
    this.success = new Tile('Success', 'Of calls that did not fail by their caller’s fault', ['two', 'one']);
    this.first = new Tile('First token', 'Of whole answers: to the first token of a stream, or the answer', ['two', 'one']);
    this.tokens = new Tile('Tokens', 'Read and made by models, in a minute', ['one']);
    this.cost = new Tile('Cost', 'In a minute, in the currency of the prices in the configuration', ['one']);
    const tiles = [this.calls, this.success, this.first, this.tokens, this.cost];
    byId('tiles').append(...tiles.map((tile) => tile.element));
    this.facts = new Map();
    this.cpu = null;
  }

  draw(store) {
    this.drawTiles(store);
    this.drawFacts(store.state);
  }

  drawTiles(store) {
    const { total, now, since } = store;
    const whole = now - BIN; // lines of sums end with the last bin that is over
    const rows = Object.values(store.tables.routes);
    const flying = rows.reduce((sum, row) => sum + row.in_flight, 0);
    const queued = Object.values(store.tables.upstreams).reduce((sum, row) => sum + (row.queue?.queued ?? 0), 0);
    const waits = queued ? `, ${count(queued)} queued` : '';
    const perSecond = total.rate('calls', now, since);
    this.calls.update(`${rate(perSecond)}/s`, `${count(flying)} in flight${waits}`,
      [total.line(whole, since, (bin) => bin.calls / BIN, 0)], `Calls a second, now ${rate(perSecond)}`);
    const [ok, failed, firstOk] = ['ok', 'failed', 'first_ok'].map((field) => total.sum(field, now));
    const ended = ok + failed;
    const after = (bin) => (bin.ok + bin.failed ? bin.ok / (bin.ok + bin.failed) : null);
    const before = (bin) => (bin.ok + bin.failed ? bin.first_ok / (bin.ok + bin.failed) : null);
    const lines = [total.line(now, since, before), total.line(now, since, after)];
    const low = Math.min(0.9, ...lines.flat().filter((share) => share !== null));
    this.success.update(percent(ok, ended),
      ended ? `${percent(firstOk, ended)} at first, ${count(Math.max(0, ok - firstOk))} mended` : 'no call in five minutes',
      lines, `Success ${percent(ok, ended)}, at the first attempt ${percent(firstOk, ended)}`, { top: 1, bottom: low });
    const [p50, p95] = [total.quantile(0.5, now), total.quantile(0.95, now)];
    this.first.update(p50 === null ? '–' : milliseconds(p50), p95 === null ? 'no answer in five minutes' : `p95 ${milliseconds(p95)}`,
      quantiles(total, now, since), p50 === null ? 'Time to the first token' : `First token p50 ${milliseconds(p50)}, p95 ${milliseconds(p95)}`);
    const [read, made] = ['input', 'output'].map((field) => total.perMinute(field, now, since));
    this.tokens.update(`${short(read + made)}/min`, `${short(read)} read, ${short(made)} made`,
      [total.line(whole, since, (bin) => ((bin.input + bin.output) * 60) / BIN, 0)], `Tokens in a minute, now ${short(read + made)}`);
    const cost = total.perMinute('cost', now, since);
    const sum = rows.reduce((spent, row) => spent + row.cost, 0);
    const saved = rows.reduce((spent, row) => spent + row.saved, 0);
    this.cost.update(`${money(cost)}/min`, sum ? `${money(sum)} since the start${saved ? `, ${money(saved)} saved` : ''}` : 'no prices are configured',
      [total.line(whole, since, (bin) => (bin.cost * 60) / BIN, 0)], `Cost of a minute, now ${money(cost)}`);
  }

  drawFacts(state) {
    const now = Date.now() / 1000;
    this.fact('Uptime', seconds(now - state.started), `since ${new Date(state.started * 1000).toLocaleString('en-GB')}`);
    this.fact('Configuration', state.hash.slice(0, 8) || '–', `in use for ${seconds(now - state.loaded_at)}${state.reloads > 1 ? `, ${count(state.reloads - 1)} reloads` : ''}`);
    const source = state.sources.map((each) => nameOf(each)).join(' + ') || '–';
    const heard = Math.min(...state.sources.map((each) => each.heard_at));
    this.fact('Source', source, Number.isFinite(heard) && heard > 0 ? `read ${seconds(now - heard)} ago` : '', state.sources.map((each) => clean(each.name)).join(' + '));
    this.fact('Process', bytes(state.memory), this.share(state));
    this.fact('Calls kept', count(state.calls_kept), state.calls_kept ? 'for the list below' : 'none yet');
    this.fact('Version', state.version, `Python ${state.python}, pid ${state.pid}, log level ${state.log_level}`);
  }

  /** The share of a core that the process used since a while ago. */
  share(state) {
    const now = performance.now() / 1000;
    this.cpu ??= [[now, state.cpu_s]];
    if (this.cpu[0][1] > state.cpu_s) this.cpu = [[now, state.cpu_s]]; // another process
    this.cpu.push([now, state.cpu_s]);
    while (this.cpu.length > 2 && now - this.cpu[1][0] > 10) this.cpu.shift();
    const [[then, before]] = this.cpu;
    return now - then > 2 ? `${Math.max(0, ((state.cpu_s - before) / (now - then)) * 100).toFixed(1)} % of a core` : '';
  }

  fact(name, value, note, title = value) {
    let made = this.facts.get(name);
    if (!made) {
      made = [el('dd', { class: 'fact-value' }), el('dd', { class: 'muted' })];
      byId('facts').append(el('div', { class: 'fact' }, el('dt', { text: name }), ...made));
      this.facts.set(name, made);
    }
    say(made[0], value);
    set(made[0], 'title', title);
    say(made[1], note);
  }
}

/** The name of a source; of a file without its folder. */
const nameOf = (source) => clean(source.name.startsWith('/') ? source.name.split('/').at(-1) : source.name, 60);

/** The lines of p95 and p50. */
export function quantiles(series, now, since, bins) {
  const of = (share) => series.line(now, since, (bin) => (bin.first.size ? quantileOf(bin, share) : null), null, bins);
  return [of(0.95), of(0.5)];
}

const quantileOf = (bin, share) => quantile(bin.first, share);

/** What is wrong, above all sections: a name, how bad it is, a text, one that changes every second, and lines to open. */
export function banners(store, link) {
  const told = [];
  if (!link.connected && link.since) {
    const gone = seconds((Date.now() - link.since) / 1000);
    const next = Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000));
    told.push(['gone', 'bad', `The sidecar at ${location.host} is gone: ${clean(link.reason)}.${store.now ? ` What you see is from ${clock(store.now)}.` : ''}`,
      ` It has been away for ${gone}; trying again ${next ? `in ${next} s` : 'now'}.`]);
  }
  const state = store.state;
  if (state?.config_error) told.push(['config', 'bad', `The last configuration was refused; the one before serves on. ${clean(state.config_error, 2000)}`]);
  for (const line of (state?.config_awaited ?? []).slice(0, 5)) told.push([`awaited ${line}`, 'warn', `A key has not come, and nothing is sent without it: ${clean(line, 500)}`]);
  const doubts = state?.config_warnings ?? [];
  if (doubts.length) {
    told.push(['doubts', 'warn', `${count(doubts.length)} ${doubts.length === 1 ? 'setting is' : 'settings are'} hardly meant as written`, '', doubts.slice(0, 50).map((line) => clean(line, 500))]);
  }
  for (const source of state?.sources ?? []) {
    if (source.error) told.push([`source ${source.name}`, 'warn', `${clean(source.name, 100)} can’t be read: ${clean(source.error, 500)}`]);
  }
  if (state?.blocked_s) told.push(['blocked', 'warn', `The data plane has not answered for ${seconds(state.blocked_s)}.`]);
  if (state && !state.ready) told.push(['ready', 'warn', state.draining ? 'Draining: /ready answers 503, and connections close after their call.' : `Not ready: ${clean(state.reason)}.`]);
  for (const upstream of Object.values(store.tables.upstreams)) {
    if (upstream.panic.length) told.push([`panic ${upstream.name}`, 'bad', `Panic: every endpoint of ${clean(upstream.name)} is ejected, so all are tried.`]);
  }
  if (state?.log_dropped) told.push(['log', 'warn', `${count(state.log_dropped)} lines of the access log were dropped.`]);
  return told;
}
