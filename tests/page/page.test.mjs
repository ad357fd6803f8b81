// The page in Chromium, in front of a faulty fleet.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';

import { browser, drawn, Fleet, freePorts, load, open, Sidecar, sleep, until } from './world.mjs';
import { axe, flat, sideways } from './checks.mjs';

let chrome;
let fleet;
let sidecar;

const BEHAVIOURS = ['latency=30ms,tokens_per_second=2000,error=503:25%,seed=1,retry_after=0ms', 'latency=30ms,tokens_per_second=2000,truncate=10%,seed=2', 'latency=60ms,seed=3'];
const configuration = ([a, b, c]) => `
upstreams:
  fleet:
    endpoints: [{url: "${a}"}, {url: "${b}"}]
    load: {path: /metrics, interval: 1s}
    admission: {max_in_flight: 50, max_queued: 60}
  spare:
    endpoints: [{url: "${c}"}]
    credentials:
      - {name: main, header: authorization, value: "Bearer sk-0123456789-abcdef-1f3c"}
      - {name: other, header: authorization, value: "Bearer sk-0123456789-abcdef-9d07"}
routes:
  - {name: chat, match: {path: /v1/chat/completions, model: "m*"}, upstream: fleet, fallback: [{upstream: spare, model: gpt-4o-mini}]}
  - {name: rest, match: {path: /v1/}, upstream: spare}
prices: {"*": {input: 1, output: 2}}
policies: {default: {retry: {max: 3, budget: {ratio: 100%, min_per_second: 100}}}}
`;

before(async () => {
  chrome = await browser();
  fleet = await Fleet.start(BEHAVIOURS);
  sidecar = await Sidecar.start(configuration(fleet.urls));
});

after(async () => {
  await chrome?.close();
  await sidecar?.stop();
  await fleet?.stop();
});

const text = (page, selector) => page.locator(selector).first().innerText();
const row = (page, table, name) => page.locator(`#${table}-rows tbody tr`, { hasText: name }).first();
const number = (told) => Number(told.replaceAll(',', '').match(/[\d.]+/)[0]);
/** Have calls to look at: those of the test before, or others. */
async function seeded() {
  if ((await sidecar.get('/calls?limit=100')).length < 100) await load(120, 20, (index) => sidecar.chat({ stream: index % 2 === 0, max_tokens: 8, model: index % 10 ? 'm' : 'gpt-4o' }));
}
const end = (page) => page.context().close();

test('what it shows is what the fleet did', async () => {
  const page = await open(chrome, sidecar);
  assert.match(await text(page, '#calls-table .empty'), /OPENAI_BASE_URL=http:\/\/127\.0\.0\.1/);
  const statuses = await load(200, 20, (index) => (index % 10 === 9
    ? sidecar.chat({ model: 'gpt-4o' }) : sidecar.chat({ stream: index % 2 === 0, max_tokens: 8 })));
  assert.equal(Object.values(statuses).reduce((a, b) => a + b), 200);
  const routes = Object.fromEntries((await sidecar.get('/routes')).map((each) => [each.name, each.calls]));
  const kept = await sidecar.get('/calls?limit=1000');
  assert.equal(kept.length, 200);
  for (const name of ['chat', 'rest']) {
    await row(page, 'routes', name).locator('button').click();
    const told = () => row(page, 'routes', 'since the start').innerText();
    await until(async () => (await told()).includes(`${routes[name]} since the start`), `the count of ${name}`);
    const counted = await told();
    const of = kept.filter((call) => call.route === name);
    const retries = of.reduce((sum, call) => sum + (call.tries ?? []).filter((one) => one.why === 'retry').length, 0);
    assert.equal([...counted.matchAll(/^Retries\n(.*)$/gm)][0][1].split(', ').reduce((sum, each) => sum + (each === 'none' ? 0 : number(each.split('×')[1])), 0), retries);
    assert.equal(retries, await sidecar.metric('sidecar_retries_total', { route: name }));
    const ok = of.filter((call) => call.status === 200 && call.verdict === 'complete').length;
    const first = of.filter((call) => call.status === 200 && call.tries[0].status === 200 && call.tries[0].verdict === 'complete').length;
    const share = (part) => `${((part / of.length) * 100).toLocaleString('en-US', { maximumFractionDigits: part / of.length >= 0.99 ? 2 : 1 })} %`;
    const cell = await row(page, 'routes', name).locator('td').nth(1).innerText();
    assert.ok(cell.startsWith(share(ok)), `${cell} starts with ${share(ok)}`);
    if (first < ok) assert.ok(cell.includes(`${share(first)} at first`), `${cell} has ${share(first)}`);
    await row(page, 'routes', name).locator('button').click();
  }
  const counters = await fleet.counts();
  for (const [index, url] of fleet.urls.entries()) {
    const attempts = kept.reduce((sum, call) => sum + (call.tries ?? []).filter((one) => one.endpoint === url).length, 0);
    assert.equal(attempts, counters[index].counters.requests);
    assert.equal(attempts, await sidecar.metric('sidecar_attempts_total', { endpoint: url }));
    const failed = await sidecar.metric('sidecar_attempts_total', { endpoint: url, status: '503' });
    if (failed) assert.match(await row(page, 'endpoints', url).innerText(), new RegExp(`503 × ${failed}`));
  }
  await page.locator('#calls').scrollIntoViewIfNeeded();
  await page.getByLabel('Filter calls').fill('completions');
  await until(async () => (await text(page, '#calls-table .pager')).includes('of 200'), 'all calls in the list');
  assert.deepEqual(page.errors, []);
  await end(page);
});

test('times are those of the calls', async () => {
  await seeded();
  const page = await open(chrome, sidecar); // from what is kept
  const kept = await sidecar.get('/calls?limit=1000');
  const times = kept.filter((call) => call.status === 200 && call.verdict === 'complete' && call.route === 'chat').map((call) => call.first_token_ms ?? call.first_byte_ms).sort((a, b) => a - b);
  const shown = number((await row(page, 'routes', 'chat').locator('td').nth(2).locator('span span').first().innerText()));
  const median = times[Math.floor((times.length - 1) / 2)];
  assert.ok(Math.abs(shown / median - 1) < 0.1, `${shown} is about ${median}`);
  await end(page);
});

test('a call opens with its attempts, its diagram and its command', async () => {
  await seeded();
  const call = (await sidecar.get('/calls?limit=1000')).find((each) => each.tries?.length > 2);
  const page = await open(chrome, sidecar, { hash: `#call=${call.request_id}` });
  await page.waitForSelector('.drawer .sequence');
  assert.equal(await page.locator('.waterfall li').count(), call.tries.length);
  const mermaid = await (await fetch(`${sidecar.admin}/calls/${call.request_id}.mmd`)).text();
  const arrows = mermaid.split('\n').filter((line) => /->>|-->>|-x|--x/.test(line)).length;
  assert.equal(await page.locator('.sequence line.message').count(), arrows);
  assert.equal(await page.locator('.sequence .note-box').count(), mermaid.split('\n').filter((line) => line.includes('Note over')).length);
  const curl = await text(page, '.drawer pre');
  assert.ok(curl.includes(`${sidecar.url}${call.path}`) && !/sk-|Bearer [^$]/.test(curl), curl);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy Mermaid' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), mermaid);
  assert.deepEqual(page.errors, []);
  await end(page);
});

test('a filter chooses among all calls that are kept', async () => {
  await seeded();
  const page = await open(chrome, sidecar);
  await page.locator('#calls').scrollIntoViewIfNeeded();
  const mended = (await sidecar.get('/calls?limit=1000')).filter((call) => call.tries?.length > 1 && call.status === 200 && call.verdict === 'complete');
  await page.getByLabel('Which calls').selectOption('mended');
  await until(async () => (await text(page, '#calls-table .pager')).includes(`of ${mended.length}`), 'all mended calls');
  const gpt = (await sidecar.get('/calls?limit=1000&model=gpt-4o')).length;
  await page.getByLabel('Which calls').selectOption('');
  await page.getByLabel('Model', { exact: true }).first().selectOption('gpt-4o');
  await until(async () => (await text(page, '#calls-table .pager')).includes(`of ${gpt}`), 'all calls of a model');
  await page.getByLabel('Model', { exact: true }).first().selectOption('');
  await page.getByLabel('Filter calls').fill(mended[0].request_id);
  await until(async () => await page.locator('#calls-rows tbody tr').count() === 1, 'the call');
  assert.equal(await page.locator('#calls-rows tbody tr').count(), 1);
  await page.getByLabel('Filter calls').fill('nothing has this');
  assert.match(await text(page, '#calls-table .empty'), /Nothing fits/);
  await end(page);
});

test('all can be done by keyboard', async () => {
  await seeded();
  const page = await open(chrome, sidecar);
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label'));
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  const seen = [];
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press('Tab');
    seen.push(await focused());
  }
  for (const name of ['Overview', 'Interception', 'chat', 'rest', 'Success ↕', 'Change']) assert.ok(seen.some((each) => each?.startsWith(name.replace(' ↕', ''))), `${name} is among ${seen}`);
  await page.locator('#routes-rows').getByRole('button', { name: 'chat' }).focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#routes-rows').getByRole('button', { name: 'chat' }).getAttribute('aria-expanded'), 'true');
  assert.ok(await page.locator('.opened-body .chart').isVisible());
  const first = page.locator('#calls-rows tbody button').first();
  await first.focus();
  const name = await first.getAttribute('aria-label');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.drawer .sequence');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.drawer', { state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), name);
  await end(page);
});

test('an endpoint is drained, weighed and held, after a confirmation', async () => {
  const page = await open(chrome, sidecar);
  const [url] = fleet.urls;
  const override = async () => (await sidecar.get('/upstreams')).find((each) => each.name === 'fleet').endpoints[0].override;
  const change = async (act) => {
    await page.getByRole('button', { name: `Change ${url}`, exact: true }).click();
    await act();
    await page.keyboard.press('Tab');
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
  };
  await change(() => page.getByLabel(/^Drain/).check());
  assert.equal(await override(), null); // not before it is confirmed
  await page.getByRole('button', { name: 'Cancel' }).click();
  await sleep(100);
  assert.equal(await override(), null);
  await change(async () => {
    await page.getByLabel(/^Drain/).check();
    await page.getByLabel(/^Weight as/).uncheck();
    await page.getByLabel('Weight', { exact: true }).fill('');
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
    await page.getByText('The weight must be a number').waitFor();
    await page.getByLabel('Weight', { exact: true }).fill('2.5');
    await page.getByLabel('Breaker').selectOption('open');
  });
  await page.getByRole('button', { name: 'Yes, apply' }).click();
  await until(async () => JSON.stringify(await override()) === JSON.stringify({ weight: 2.5, drained: true, breaker: 'open' }), 'the overrides');
  await until(async () => /drained.*2\.5\s*set here/s.test(await row(page, 'endpoints', url).innerText()), 'the state');
  await drawn(page);
  await change(async () => {
    await page.getByLabel(/^Drain/).uncheck();
    await page.getByLabel(/^Weight as/).check();
    await page.getByLabel('Breaker').selectOption('auto');
  });
  await page.getByRole('button', { name: 'Yes, apply' }).click();
  await until(async () => (await override()) === null, 'the end of the overrides');
  assert.deepEqual(page.errors, []);
  await end(page);
});

test('it says where a call would go', async () => {
  const page = await open(chrome, sidecar);
  await page.getByLabel('Model', { exact: true }).last().fill('m1');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.waitForSelector('.explained .target');
  const told = await text(page, '.explained');
  for (const part of ['chat', 'fleet', 'spare', ...fleet.urls]) assert.ok(told.includes(part), `${part} is in ${told}`);
  await page.getByLabel('Path').fill('/chat/completions');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.explained .banner.bad');
  assert.match(await text(page, '.explained'), /\/v1/);
  assert.deepEqual(page.errors, []);
  await end(page);
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing in ${colorScheme}`, async () => {
    await seeded();
    const page = await open(chrome, sidecar, { colorScheme, reducedMotion: 'reduce' });
    await row(page, 'routes', 'chat').locator('button').click();
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.waitForSelector('.explained .headline');
    assert.deepEqual(await axe(page), []);
    await page.locator('#calls-rows tbody button').first().click();
    await page.waitForSelector('.drawer .sequence');
    assert.deepEqual(await axe(page, '.drawer'), []);
    await page.keyboard.press('Escape');
    await page.locator('#endpoints-rows').getByRole('button', { name: 'Change' }).first().click();
    assert.deepEqual(await axe(page, 'dialog'), []);
    await end(page);
  });
}

test('on a narrow phone nothing lies beside the screen', async () => {
  await seeded();
  const page = await open(chrome, sidecar, { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
  await row(page, 'routes', 'chat').locator('button').click();
  await page.getByLabel('Model', { exact: true }).last().fill('m1');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.waitForSelector('.explained .target');
  assert.deepEqual(await sideways(page), []);
  assert.deepEqual(await axe(page, 'main'), []);
  await page.locator('#calls-rows tbody button').first().click();
  await page.waitForSelector('.drawer .sequence');
  assert.deepEqual(await sideways(page), []);
  await page.keyboard.press('Escape');
  await page.locator('#endpoints-rows').getByRole('button', { name: 'Change' }).first().click();
  assert.deepEqual(await sideways(page), []);
  await end(page);
});

test('a hostile name is a text', async () => {
  const page = await open(chrome, sidecar);
  const hostile = 'm<img src=x onerror=alert(1)>\u202egnp';
  let asked = false;
  page.on('dialog', (dialog) => { asked = true; dialog.dismiss(); });
  await sidecar.chat({ model: hostile }, { 'user-agent': '<script>alert(2)</script>' }, '/v1/chat/completions');
  await sidecar.chat({ model: 'x' }, {}, '/v1/%3Cscript%3Ealert(3)%3C/script%3E');
  await page.locator('#calls').scrollIntoViewIfNeeded();
  const shown = page.locator('#calls-rows tbody tr', { hasText: 'm<img src=x onerror=alert(1)>\\u202egnp' });
  await shown.first().waitFor();
  await shown.first().locator('button').click();
  await page.waitForSelector('.drawer .sequence');
  assert.ok((await text(page, '.drawer')).includes('<script>alert(2)</script>'));
  assert.equal(await page.locator('main img, main script, .drawer img, .drawer script').count(), 0);
  assert.equal(asked, false);
  assert.deepEqual(page.errors, []);
  await end(page);
});

test('a page of another origin changes nothing and reads nothing', async () => {
  const server = createServer((_, reply) => reply.setHeader('content-type', 'text/html').end('<title>evil</title>')).listen(0, '127.0.0.1');
  const context = await chrome.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const tried = await page.evaluate(async (admin) => {
    const results = {};
    const told = async (name, act) => { results[name] = await act().then((reply) => reply.type, (error) => error.name); };
    await told('simple', () => fetch(`${admin}/quit`, { method: 'POST', mode: 'no-cors' }));
    await told('cors', () => fetch(`${admin}/quit`, { method: 'POST' }));
    await told('header', () => fetch(`${admin}/quit`, { method: 'POST', headers: { 'x-sidecar-token': 'x' } }));
    await told('read', () => fetch(`${admin}/config`));
    await told('stream', () => fetch(`${admin}/events`));
    const frame = document.createElement('iframe');
    frame.src = `${admin}/`;
    document.body.append(frame);
    await new Promise((resolve) => { frame.onload = resolve; });
    results.frame = (() => { try { return frame.contentDocument?.title ?? 'closed'; } catch { return 'closed'; } })();
    const form = document.createElement('form');
    form.method = 'POST';
    form.action = `${admin}/quit`;
    document.body.append(form);
    form.submit();
    return results;
  }, sidecar.admin);
  await sleep(300);
  assert.deepEqual(tried, { simple: 'opaque', cors: 'TypeError', header: 'TypeError', read: 'TypeError', stream: 'TypeError', frame: 'closed' });
  assert.deepEqual(await sidecar.get('/ready'), { ready: true, reason: 'ready' });
  await context.close();
  server.close();
});

test('it says when the sidecar is gone, and comes back with it', async () => {
  const page = await open(chrome, sidecar);
  await sidecar.program.stop('SIGKILL');
  await page.getByText(/is gone:/).waitFor();
  assert.equal(await text(page, '#ready'), 'gone');
  await sidecar.run();
  await until(async () => (await text(page, '#ready')) === 'live', 'the page’s return');
  assert.equal(await page.getByText(/is gone:/).count(), 0);
  await sidecar.chat();
  await until(async () => (await text(page, '#calls-table .table')).includes('/v1/chat/completions'), 'a call after the restart');
  await end(page);
});

test('a hidden tab rests after a minute, and goes on when it is seen', async () => {
  const page = await open(chrome, sidecar, { clock: true });
  const show = (visible) => page.evaluate((shown) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => !shown });
    document.dispatchEvent(new Event('visibilitychange'));
  }, visible);
  const streams = { begun: 0, ended: 0 };
  page.on('request', (asked) => { streams.begun += asked.url().endsWith('/events'); });
  page.on('requestfailed', (asked) => { streams.ended += asked.url().endsWith('/events'); });
  await show(false);
  const hidden = await page.evaluate(() => Date.now());
  await until(async () => { // in steps that are shorter than a silence of the stream may be
    await page.clock.fastForward(9000);
    await sleep(1100);
    return streams.ended === 1;
  }, 'its rest', 60_000);
  assert.ok(await page.evaluate(() => Date.now()) - hidden >= 60_000);
  await page.clock.fastForward(15_000);
  await sleep(500);
  assert.deepEqual(streams, { begun: 0, ended: 1 }); // it does not try again meanwhile
  await show(true);
  await drawn(page);
  assert.deepEqual(streams, { begun: 1, ended: 1 });
  assert.equal(await text(page, '#ready'), 'live');
  assert.deepEqual(page.errors, []);
  await end(page);
});

test('a bad configuration is told on top', async () => {
  const page = await open(chrome, sidecar);
  await page.getByText(/settings are hardly meant/).click(); // its keys stand in its file
  assert.equal((await text(page, '.banner .lines')).split('\n').length, 2);
  sidecar.configure('routes: [{upstrem: x}]');
  await page.getByText(/The last configuration was refused/).waitFor();
  sidecar.configure(configuration(fleet.urls));
  await page.getByText(/The last configuration was refused/).waitFor({ state: 'detached' });
  const node = await fetch(`${sidecar.admin}/log-level?level=info`, { method: 'POST' });
  assert.equal(node.status, 200); // a program needs no token
  await end(page);
});

test('its memory stays flat, and so does the sidecar’s', async () => {
  const page = await open(chrome, sidecar);
  await page.locator('#calls').scrollIntoViewIfNeeded();
  const call = (index) => sidecar.chat({ model: 'gpt-4o', max_tokens: 4, stream: index % 2 === 0 });
  assert.deepEqual(await flat(page, sidecar, (number_) => load(number_, 24, call), Number(process.env.PAGE_CALLS ?? 500)), []);
  assert.deepEqual(page.errors, []);
  await end(page);
});

test('two hundred routes and a thousand endpoints are shown page by page', async () => {
  const endpoints = (from) => Array.from({ length: 5 }, (_, index) => `{url: "http://127.0.0.1:${from + index}"}`).join(', ');
  const names = Array.from({ length: 200 }, (_, index) => `r${index}`);
  const large = await Sidecar.start(`
upstreams:
${names.map((name, index) => `  ${name}: {endpoints: [${endpoints(20_000 + 5 * index)}]}`).join('\n')}
routes:
${names.map((name) => `  - {name: ${name}, match: {model: "${name}"}, upstream: ${name}}`).join('\n')}
`);
  const page = await open(chrome, large);
  assert.match(await text(page, '#routes-table .pager'), /1–10 of 200/);
  await page.locator('#endpoints').scrollIntoViewIfNeeded();
  await until(async () => /of 1,000/.test(await text(page, '#endpoints-table .pager')), 'all endpoints');
  assert.ok(await page.locator('main *').count() < 1500);
  await page.getByLabel('Filter endpoints').fill('r199 20999');
  assert.equal(await page.locator('#endpoints-rows tbody tr').count(), 1);
  await page.getByLabel('Upstream').selectOption('r7');
  await page.getByLabel('Filter endpoints').fill('');
  assert.equal(await page.locator('#endpoints-rows tbody tr').count(), 5);
  await page.locator('#routes-table').getByRole('button', { name: 'Next' }).click();
  assert.ok(await row(page, 'routes', 'r10').isVisible());
  await large.chat({ model: 'r150' });
  await page.locator('#routes-rows').getByRole('button', { name: 'Calls/s' }).click();
  await until(async () => (await text(page, '#routes-rows tbody tr')).startsWith('r150'), 'the busiest route on top');
  assert.deepEqual(page.errors, []);
  await end(page);
  await large.stop();
});

test('it tells what became of intercepted connections', async () => {
  const origin = createServer((_, reply) => reply.end('hello')).listen(0, '127.0.0.1');
  const [proxyPort] = await freePorts(1);
  const intercepting = await Sidecar.start(`
upstreams: {llm: {endpoints: [{url: "http://llm.test:9"}]}}
routes: [{match: {host: llm.test}, upstream: llm}]
intercept: {ca: FOLDER/ca, allow: [127.0.0.1]}
`, `, {mode: forward, address: "127.0.0.1:${proxyPort}"}`);
  const page = await open(chrome, intercepting);
  await page.locator('#interception').scrollIntoViewIfNeeded();
  await page.getByText('No host was passed through').waitFor();
  const asked = request({ port: proxyPort, path: `http://127.0.0.1:${origin.address().port}/`, headers: { host: `127.0.0.1:${origin.address().port}` } });
  await new Promise((resolve, reject) => { asked.on('response', (reply) => reply.resume().on('end', resolve)).on('error', reject).end(); });
  await page.locator('#hosts-rows').getByText('no route names the host').waitFor();
  assert.match(await text(page, '#hosts-rows tbody tr'), /127\.0\.0\.1/);
  assert.match(await text(page, '#decisions-rows tbody tr'), /passed through/);
  const { ca } = await intercepting.get('/interception');
  const print = new X509Certificate(ca).fingerprint256;
  await page.getByText(print).waitFor();
  assert.deepEqual(await axe(page, '#interception'), []);
  await fetch(`${intercepting.admin}/drain`, { method: 'POST' });
  await until(async () => (await text(page, '#ready')) === 'draining', 'the drain');
  assert.deepEqual(page.errors, []);
  await end(page);
  await intercepting.stop();
  origin.close();
});
