// What became of connections to listeners that intercept, and the CA that programs must trust.

import { copy, get } from './actions.js';
import { badge, byId, el, say } from './dom.js';
import { Table } from './table.js';
import { bytes, clean, count } from './text.js';

/** What decisions mean (`sidecar/listen/intercept/decision.py`). */
export const DECISIONS = {
  intercepted_tls: ['intercepted', 'ok', 'TLS was terminated and its calls were served'],
  intercepted_http: ['intercepted, plain', 'ok', 'plain HTTP calls were served'],
  not_routed: ['passed through', '', 'no route names the host'],
  not_http: ['passed through', '', 'neither TLS nor HTTP/1'],
  only_h2: ['passed through', 'warn', 'the client offers no HTTP/1.1'],
  untrusting: ['passed through', 'warn', 'the client does not trust the CA'],
  silent: ['passed through', '', 'the client sent nothing in time'],
  server_first: ['passed through', '', 'the server speaks first'],
  no_ca: ['passed through', 'bad', 'the local CA can’t be used; the log says why'],
  certificate_refused: ['failed', 'warn', 'the client rejected the certificate; its next connections pass through'],
  left_early: ['left', '', 'the client left without a request'],
  not_redirected: ['closed', 'warn', 'it came to a capture listener of its own accord'],
  loop: ['closed', 'bad', 'it came from this sidecar'],
};

export class Interception {
  constructor(store) {
    this.store = store;
    this.place = byId('interception-body');
  }

  draw() {
    const listeners = Object.values(this.store.tables.listeners).filter((row) => row.mode && row.mode !== 'reverse');
    if (!listeners.length) return this.none();
    if (!this.table) this.make();
    const rows = listeners.flatMap((row) => Object.entries(row.decisions).map(([decision, number]) => ({ key: `${row.name} ${decision}`, listener: row.name, mode: row.mode, decision, number })));
    this.table.update(rows.sort((a, b) => b.number - a.number));
    this.hosts.update(Object.values(this.store.tables.passed ?? {}));
    say(this.passing, listeners.map((row) => `${clean(row.name)} (${row.mode}): ${count(row.passing)} connections pass through now, ${bytes(row.passed_out)} out and ${bytes(row.passed_in)} in so far`).join('; '));
    return undefined;
  }

  none() {
    if (this.table) this.table = null;
    else if (this.place.firstChild) return;
    this.place.replaceChildren(el('div', { class: 'card empty' }, el('p', {}, 'No listener intercepts: applications name the sidecar as their base URL. For programs that can’t, run them with ',
      el('code', { text: 'sidecar exec --mode proxy -- CMD' }), ', or add a listener of mode ', el('code', { text: 'forward' }), ' or ', el('code', { text: 'capture' }), '.')));
  }

  make() {
    this.passing = el('p', { class: 'muted' });
    this.ca = el('div', { class: 'card ca' });
    const decisions = el('div', {});
    const hosts = el('div', {});
    this.place.replaceChildren(this.passing, el('div', { class: 'columns' }, decisions, hosts), this.ca);
    this.table = new Table(decisions, {
      name: 'decisions', caption: 'Decisions', size: 10, key: (row) => row.key, words: (row) => `${row.decision} ${row.listener}`,
      empty: () => el('p', { text: 'No connection yet.' }),
      columns: [
        { id: 'decision', label: 'Connections', value: (row) => row.decision, show: (cell, row) => {
          const [word, level, why] = DECISIONS[row.decision] ?? [row.decision, '', ''];
          if (!cell.firstChild) cell.append(badge(word, level), ' ', el('span', { class: 'under muted' }));
          say(cell.lastChild, why);
        } },
        { id: 'listener', label: 'Listener', value: (row) => row.listener, show: (cell, row) => say(cell, `${clean(row.listener)} ${row.mode}`) },
        { id: 'number', label: 'Count', num: true, value: (row) => row.number, show: (cell, row) => say(cell, count(row.number)) },
      ],
    });
    this.hosts = new Table(hosts, {
      name: 'hosts', caption: 'Hosts passed through', size: 10, key: (row) => `${row.listener} ${row.host} ${row.decision}`, words: (row) => `${row.host} ${row.decision}`, sorted: { column: 'number', down: true },
      empty: () => el('p', { text: 'No host was passed through. Hosts that no route names, and clients that do not trust the CA, appear here.' }),
      columns: [
        { id: 'host', label: 'Host passed through', value: (row) => row.host, show: (cell, row) => {
          if (!cell.firstChild) cell.append(el('span', { class: 'strong mono' }), el('span', { class: 'under muted' }));
          say(cell.firstChild, clean(row.host));
          say(cell.lastChild, DECISIONS[row.decision]?.[2] ?? row.decision);
        } },
        { id: 'number', label: 'Count', num: true, value: (row) => row.number, show: (cell, row) => say(cell, count(row.number)) },
      ],
    });
    this.showCa();
  }

  async showCa() {
    try {
      const { ca } = await get('/interception');
      if (!ca) return;
      const der = Uint8Array.from(atob(ca.replace(/-----[A-Z ]+-----|\s/g, '')), (sign) => sign.charCodeAt(0));
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', der));
      const print = [...digest].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(':');
      const button = el('button', { type: 'button', class: 'button small', text: 'Copy certificate' });
      button.addEventListener('click', () => copy(button, ca));
      this.ca.replaceChildren(el('h3', { class: 'card-title', text: 'Local CA' }), el('p', {}, 'SHA-256 ', el('code', { class: 'breaks', text: print })), el('p', { class: 'note' }, 'Programs must trust it before their TLS can be intercepted. ', el('code', { text: 'sidecar ca bundle' }), ' and ', el('code', { text: 'sidecar env' }), ' say how.'), button);
    } catch (error) {
      this.ca.replaceChildren(el('p', { class: 'muted', text: `The local CA can’t be shown: ${clean(error.message)}` }));
    }
  }
}
