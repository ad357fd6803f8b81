// "Where would this call go?", asked of the sidecar's own router.

import { get } from './actions.js';
import { badge, byId, el } from './dom.js';
import { STATES } from './endpoints.js';
import { clean, milliseconds, percent } from './text.js';

const METHODS = ['POST', 'GET', 'PUT', 'PATCH', 'DELETE'];
const LEVELS = { routed: 'ok', answered: 'ok', passed_through: 'warn', refused: 'bad' };
const SAID = { routed: 'goes to a route', answered: 'answered by the sidecar', passed_through: 'passed through', refused: 'refused' };

export class Explain {
  constructor() {
    const input = (id, label, given) => [el('label', { for: `ask-${id}`, text: label }), (this[id] = el('input', { id: `ask-${id}`, class: 'field', autocomplete: 'off', spellcheck: 'false', ...given }))];
    this.method = el('select', { id: 'ask-method', class: 'field' }, ...METHODS.map((name) => el('option', { value: name, text: name })));
    this.headers = el('textarea', { id: 'ask-headers', class: 'field mono', rows: 2, spellcheck: 'false', placeholder: 'x-team: search' });
    const field = (...parts) => el('div', { class: 'labelled' }, ...parts);
    const form = el('form', { class: 'card ask', onsubmit: (event) => {
      event.preventDefault();
      this.ask();
    } },
    field(el('label', { for: 'ask-method', text: 'Method' }), this.method),
    field(...input('path', 'Path', { value: '/v1/chat/completions', required: true })),
    field(...input('model', 'Model', { placeholder: 'gpt-4o-mini' })),
    field(...input('host', 'Host', { placeholder: 'the listener’s own' })),
    field(el('label', { for: 'ask-headers', text: 'Headers, one a line' }), this.headers),
    el('button', { class: 'button strong', type: 'submit', text: 'Ask' }));
    this.answer = el('div', { class: 'explained', role: 'status' },
      el('p', { class: 'empty', text: 'Describe a call, and see the route, the policy and the endpoints that it would get, and why. Nothing is sent.' }));
    byId('explain-form').append(form, this.answer);
  }

  draw() {}

  async ask() {
    const query = { method: this.method.value, path: this.path.value };
    for (const name of ['model', 'host']) if (this[name].value.trim()) query[name] = this[name].value.trim();
    if (this.headers.value.trim()) query.header = this.headers.value;
    try {
      this.answer.replaceChildren(...shown(await get('/explain', query)));
    } catch (error) {
      this.answer.replaceChildren(el('p', { class: 'banner warn', text: clean(error.message, 600) }));
    }
  }
}

function* shown(told) {
  const route = told.route ? ` ${clean(told.route)}` : '';
  yield el('p', { class: 'headline' }, badge(SAID[told.outcome] ?? told.outcome, LEVELS[told.outcome] ?? ''), el('span', { class: 'strong', text: route }),
    told.policy ? el('span', { class: 'muted', text: `, policy ${clean(told.policy)}` }) : null);
  if (told.refused) yield el('p', { class: 'banner bad', text: `${told.refused.status} ${told.refused.code}: ${clean(told.refused.message, 600)}` });
  if (told.sentences?.length) yield el('ul', { class: 'sentences' }, ...told.sentences.map((each) => el('li', { text: clean(each, 600) })));
  if (told.layers?.length) yield el('p', { class: 'muted', text: `Goes through ${told.layers.map((name) => clean(name)).join(' › ')}` });
  for (const target of told.targets ?? []) yield targetOf(target);
  if (told.passed_over?.length > 3) { // of fewer, the sentences tell all
    yield el('details', {}, el('summary', { text: `All ${told.passed_over.length} routes before it, which do not match` }),
      el('ul', {}, ...told.passed_over.map((each) => el('li', { text: clean(Object.values(each).flat().filter((value) => value !== null).join(': '), 400) }))));
  }
}

function targetOf(target) {
  const share = target.share < 1 ? `, ${percent(target.share, 1)} of these calls` : '';
  const model = target.model ? `, as model ${clean(target.model)}` : '';
  const keys = (target.keys ?? []).map((key) => `${key.whose === 'caller' ? 'the caller’s key' : `key ${key.name ?? ''} ${key.ends ?? ''}`.trim()} in ${key.header}`).join(', ');
  return el('div', { class: 'card target' },
    el('h3', {}, `${target.role[0].toUpperCase()}${target.role.slice(1)} `, el('span', { class: 'strong', text: clean(target.upstream) }), el('span', { class: 'muted', text: `${share}${model}` })),
    el('p', { class: 'muted', text: clean([`balanced by ${target.balance}`, keys && `with ${keys}`].filter(Boolean).join(', '), 400) }),
    el('ul', { class: 'plain' }, ...target.endpoints.slice(0, 12).map((each) => el('li', {},
      each.state ? badge(...(STATES[each.state] ?? [each.state, '']).slice(0, 2)) : null, ' ', el('span', { class: 'mono', text: clean(each.name) }), ' ',
      el('span', { class: 'muted', text: clean([`weight ${each.weight}`, each.latency_ms ? milliseconds(each.latency_ms) : '', each.reason].filter(Boolean).join(', '), 300) }))),
    target.endpoints.length > 12 ? el('li', { class: 'muted', text: `and ${target.endpoints.length - 12} more` }) : null));
}
