// The page: takes the stream, and draws the sections that are in view.

import { openCall } from './call.js';
import { Calls } from './calls.js';
import { byId, el, say, set } from './dom.js';
import { Endpoints } from './endpoints.js';
import { Explain } from './explain.js';
import { Interception } from './interception.js';
import { Overview, banners } from './overview.js';
import { Routes } from './routes.js';
import { Store } from './store.js';
import { Stream } from './stream.js';

const store = new Store();
const link = { connected: false, since: null, retryAt: 0, reason: '' };
const sections = {
  overview: new Overview(), routes: new Routes(store), endpoints: new Endpoints(store),
  calls: new Calls(store), explain: new Explain(), interception: new Interception(store),
};
const atTop = new Set();
const inView = new Set(Object.keys(sections));
let scheduled = false;
let failed = 0;

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) inView.add(entry.target.id);
    else inView.delete(entry.target.id);
  }
  schedule();
}, { rootMargin: '200px' });
const reading = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) atTop.add(entry.target.id);
    else atTop.delete(entry.target.id);
  }
  const current = Object.keys(sections).find((name) => atTop.has(name));
  for (const link_ of document.querySelectorAll('nav a')) {
    set(link_, 'aria-current', link_.hash === `#${current}` ? 'true' : null);
  }
}, { rootMargin: '-110px 0px -60% 0px' });
for (const name of Object.keys(sections)) {
  watcher.observe(byId(name));
  reading.observe(byId(name));
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  drawHead();
  if (!store.state) return;
  document.documentElement.dataset.drawn = store.now; // tests wait for it
  for (const [name, section] of Object.entries(sections)) {
    if (!inView.has(name)) continue;
    try {
      section.draw(store);
    } catch (error) { // one broken section must not hide the others
      failed += 1;
      if (failed < 10) console.error(name, error);
    }
  }
}

function drawHead() {
  const { state } = store;
  const [word, level] = !link.connected ? [link.since ? 'gone' : 'connecting', link.since ? 'bad' : '']
    : !state?.ready ? [state?.draining ? 'draining' : state?.reason ?? 'not ready', 'warn']
      : state.config_error ? ['configuration refused', 'warn'] : ['live', 'ok'];
  say(byId('ready'), word);
  set(byId('ready'), 'class', `pill ${level}`);
  say(byId('version'), state?.version ?? '');
  document.body.classList.toggle('stale', !link.connected && Boolean(store.now));
  const place = byId('banners');
  const told = banners(store, link);
  const known = new Map([...place.children].map((each) => [each.dataset.name, each]));
  for (const [name, level_, text, ticking = '', lines = []] of told) {
    let banner = known.get(name);
    if (!banner) place.append((banner = bannerOf(name, lines.length)));
    known.delete(name);
    set(banner, 'class', `banner ${level_}`);
    const [first, second] = banner.querySelectorAll('.says');
    say(first, text);
    say(second, ticking);
    if (lines.length) say(banner.querySelector('.lines'), lines.join('\n'));
  }
  for (const gone of known.values()) gone.remove();
}

function bannerOf(name, opens) {
  const texts = [el('span', { class: 'says' }), el('span', { class: 'says', 'aria-live': 'off' })];
  if (!opens) return el('p', { 'data-name': name }, ...texts);
  return el('details', { 'data-name': name }, el('summary', {}, ...texts), el('p', { class: 'lines' }));
}

const stream = new Stream('/events', (event, data) => {
  const first = store.state === null;
  store.take(event, data);
  if (first) openAsked();
  schedule();
}, (state) => {
  Object.assign(link, { since: null }, state);
  schedule();
});
stream.start();
setInterval(schedule, 1000); // ages and waits go on without messages

/** Open the call that the address names. */
function openAsked() {
  const asked = /^#call=(.+)$/.exec(location.hash);
  if (asked) openCall(store, decodeURIComponent(asked[1]));
}
