// One call: what it was, its attempts as a waterfall, its diagram, and how to make it again.

import { copy, dialog, get } from './actions.js';
import { curlOf } from './curl.js';
import { badge, el, svg } from './dom.js';
import { drawSequence } from './sequence.js';
import { clean, count, milliseconds, money, rate } from './text.js';

/** Open the call *id* in a dialog. */
export async function openCall(store, id) {
  const place = el('div', { class: 'call' }, el('p', { class: 'muted', text: 'Reading the call …' }));
  const path = `/calls/${encodeURIComponent(id)}`;
  history.replaceState(null, '', `#call=${encodeURIComponent(id)}`);
  const box = dialog({ title: 'Call', content: place, name: 'drawer',
    onclose: () => history.replaceState(null, '', '#calls') });
  try {
    const [call, steps] = await Promise.all([get(path), get(`${path}.steps`)]);
    box.querySelector('h2').textContent = clean(`${call.method ?? ''} ${call.path ?? ''}`.trim() || 'A call', 120);
    place.replaceChildren(...parts(store, call, steps, path));
  } catch (error) {
    place.replaceChildren(el('p', { class: 'banner warn', text: `This call can’t be shown: ${error.message}. How many are kept, the configuration says under “calls”.` }));
  }
  return box;
}

function parts(store, call, steps, path) {
  const failed = call.error || (call.verdict === 'error' ? call.failure || 'error' : call.verdict === 'complete' ? '' : call.verdict);
  const level = failed || !call.status || call.status >= 400 ? (call.status >= 500 || call.error ? 'bad' : 'warn') : 'ok';
  const listener = Object.values(store.tables.listeners).find((each) => each.mode === 'reverse')?.name;
  const shown = [
    el('p', { class: 'headline' }, badge(call.status ? String(call.status) : 'left', level), ' ', failed ? `${clean(failed)}, ` : '', `after ${milliseconds(call.duration_ms ?? 0)}`),
    el('dl', { class: 'facts inner' }, ...facts(call)),
    el('h3', { text: 'Attempts' }),
    waterfall(call),
  ];
  if (call.notes?.length) shown.push(el('h3', { text: 'What was decided' }), notes(call.notes));
  const diagram = el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Sequence diagram' });
  diagram.append(drawSequence(steps));
  shown.push(el('h3', { text: 'Sequence' }), diagram);
  const curl = curlOf(call, listener);
  shown.push(el('h3', { text: 'Make it again' }), el('pre', { class: 'code', tabindex: 0, 'aria-label': 'curl command', text: curl }),
    el('p', { class: 'note', text: 'Bodies and keys are not kept: put your own in.' }));
  const mermaid = el('button', { type: 'button', class: 'button small', text: 'Copy Mermaid' });
  mermaid.addEventListener('click', async () => {
    const reply = await fetch(`${path}.mmd`, { cache: 'no-store' });
    copy(mermaid, await reply.text());
  });
  const command = el('button', { type: 'button', class: 'button small', text: 'Copy curl' });
  command.addEventListener('click', () => copy(command, curl));
  const json = el('button', { type: 'button', class: 'button small', text: 'Copy JSON' });
  json.addEventListener('click', () => copy(json, JSON.stringify(call, null, 2)));
  shown.splice(1, 0, el('p', { class: 'copies' }, command, mermaid, json));
  return shown;
}

function* facts(call) {
  const fact = (name, ...values) => {
    const told = values.filter(Boolean);
    return told.length ? el('div', { class: 'fact' }, el('dt', { text: name }), el('dd', { text: clean(told.join(', ')) })) : null;
  };
  yield fact('When', new Date(call.time).toLocaleString('en-GB'));
  yield fact('Caller', call.client, call.user_agent, call.team && `team ${call.team}`);
  yield fact('Route', call.route || 'none', (call.layers ?? []).join(' › '));
  yield fact('Model', call.model, call.model_answered && `answered by ${call.model_answered}`, [call.dialect, call.operation].filter(Boolean).join(' '));
  const made = call.output_tokens ?? 0;
  const time = call.stream && call.first_token_ms ? (call.duration_ms - call.first_token_ms) / 1000 : 0;
  if (call.input_tokens || made) {
    yield fact('Tokens', `${call.estimated ? '~' : ''}${count(call.input_tokens ?? 0)} read`, call.cached_tokens && `${count(call.cached_tokens)} of them cached`,
      `${count(made)} made`, call.reasoning_tokens && `${count(call.reasoning_tokens)} of them thoughts`, time > 0.05 && made > 1 && `${rate(made / time)} a second`);
  }
  if (call.cost) yield fact('Cost', money(call.cost));
  yield fact('Reply', call.verdict, call.finish && `finish ${call.finish}`, call.first_token_ms && `first token after ${milliseconds(call.first_token_ms)}`, call.longest_gap_ms && `longest gap ${milliseconds(call.longest_gap_ms)}`);
  yield fact('Waits', call.queue_ms && `${milliseconds(call.queue_ms)} in the queue`, call.connect_ms >= 1 && `${milliseconds(call.connect_ms)} for a connection`);
  yield fact('Cache', call.cache);
  yield fact('Session', call.conversation);
  yield fact('Request', call.request_id, call.trace_id !== call.request_id && call.trace_id && `trace ${call.trace_id}`);
  yield fact('Provider’s id', call.provider_request_id, call.response_id);
}

function notes(list) {
  return el('ol', { class: 'notes' }, ...list.map((note) => el('li', {},
    el('span', { class: 'num muted', text: milliseconds(note.at_ms) }), ' ', el('span', { text: clean(`${note.what.replaceAll('_', ' ')}: ${note.text}`, 600) }))));
}

/** A bar for each attempt: waiting for a connection, for an answer, content. */
export function waterfall(call) {
  const whole = Math.max(call.duration_ms ?? 0, 0.001);
  const tries = call.tries ?? [];
  if (!tries.length) return el('p', { class: 'muted', text: call.cache ? `None: the answer came from the cache (${clean(call.cache)}).` : 'None: the sidecar answered by itself.' });
  const rows = tries.map((one, index) => attempt(one, index, whole, call));
  return el('div', { class: 'waterfall' },
    el('p', { class: 'legend' }, el('span', { class: 'key wait', text: 'connection' }), el('span', { class: 'key answer', text: 'waiting for the answer' }), el('span', { class: 'key content', text: 'content' })),
    el('ol', {}, ...rows),
    el('p', { class: 'scale muted', 'aria-hidden': 'true' }, el('span', { text: '0 ms' }), el('span', { text: milliseconds(whole / 2) }), el('span', { text: milliseconds(whole) })));
}

function attempt(one, index, whole, call) {
  const end = one.ended_ms || whole;
  const sent = one.sent_ms || end;
  const answered = one.content_ms || one.head_ms || end;
  const lost = one.error === 'outrun';
  const bad = one.error || one.status >= 400 || !['', 'complete', undefined].includes(one.verdict);
  const outcome = lost ? 'given up, another was faster' : [one.status || '', one.error || one.failure || one.verdict || ''].filter(Boolean).join(' ') || 'no reply';
  const why = one.after ? `${one.why} after ${one.after}` : one.why;
  const level = lost ? 'off' : bad ? 'bad' : 'ok';
  const said = [`${milliseconds(one.began_ms ?? 0)} to ${milliseconds(end)}`];
  if (sent - (one.began_ms ?? 0) >= 1) said.push(`${milliseconds(sent - (one.began_ms ?? 0))} for a connection`);
  if (one.content_ms) said.push(`first content at ${milliseconds(one.content_ms)}`);
  if (one.reused) said.push('kept connection');
  if (one.replayed) said.push('sent again');
  const made = !bad && !lost && call.output_tokens && answered < end - 1 ? `, ${rate((call.output_tokens * 1000) / (end - answered))} tokens/s` : '';
  return el('li', {},
    el('p', { class: 'try' }, el('span', { class: 'strong', text: `${index + 1} ${clean(why)}` }), ' ', badge(clean(outcome), level), ' ', el('span', { class: 'muted mono', text: clean(one.endpoint) })),
    bar(one.began_ms ?? 0, sent, answered, end, whole, level),
    el('p', { class: 'under muted', text: said.join(', ') + made }));
}

function bar(began, sent, answered, end, whole, level) {
  const at = (time) => Math.max(0, Math.min(100, (time / whole) * 100));
  const piece = (name, from, to, least = 0) => svg('rect', { class: name, x: Math.min(at(from), 100 - least), width: Math.max(at(to) - at(from), least), height: 10 });
  return svg('svg', { class: `attempt ${level}`, viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('rect', { class: 'rail', width: 100, height: 10 }),
    piece('wait', began, sent), piece('answer', sent, answered, 0.6), answered < end ? piece('content', answered, end) : null);
}
