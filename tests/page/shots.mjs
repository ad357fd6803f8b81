// Screenshots for docs/: the page in front of a faulty fleet that has had calls for a while.

import { browser, drawn, Fleet, load, open, Sidecar, sleep } from './world.mjs';

const into = process.argv[2] ?? 'docs';
const minutes = Number(process.argv[3] ?? 2);
const fleet = await Fleet.start([
  'latency=lognormal:220ms:0.4,tokens_per_second=80,error=503:9%,seed=1,slots=8',
  'latency=lognormal:260ms:0.5,tokens_per_second=70,truncate=4%,seed=2,slots=8',
  'latency=lognormal:300ms:0.5,tokens_per_second=60,error=500:60%,seed=3',
  'latency=lognormal:420ms:0.5,tokens_per_second=90,seed=4',
  'latency=lognormal:60ms:0.3,seed=5',
]);
const [a, b, c, d, e] = fleet.urls;
const config = `
upstreams:
  glm:
    endpoints: [{url: "${a}", weight: 2, labels: {zone: a}}, {url: "${b}", labels: {zone: b}}, {url: "${c}", labels: {zone: b}}]
    balance: dynamic
    load: {path: /metrics, interval: 1s}
    admission: {max_in_flight: 24, max_queued: 60}
  openai:
    endpoints: [{url: "${d}"}]
    credentials:
      - {name: main, header: authorization, value: "Bearer \${file:FOLDER/main}", weight: 3}
      - {name: spare, header: authorization, value: "Bearer \${file:FOLDER/spare}"}
  embed: {endpoints: [{url: "${e}"}]}
routes:
  - {name: chat, match: {model: "glm-*"}, upstream: glm, policy: patient, fallback: [{upstream: openai, model: gpt-4o-mini}]}
  - {name: embeddings, match: {path: /v1/embeddings}, upstream: embed}
  - {name: gpt, match: {path: /v1/}, upstream: openai}
prices:
  "gpt-4o*": {input: 2.5, output: 10}
  "glm-*": {input: 0.6, output: 2.2}
  "text-*": {input: 0.02, output: 0}
budgets:
  ledger: FOLDER/ledger.db
  limits:
    everything: {per: day, money: 0.5}
    glm-tokens: {per: hour, tokens: 200000, model: "glm-*", when_spent: count}
policies:
  default:
    retry: {max: 3, budget: {ratio: 30%, min_per_second: 10}}
  patient:
    hedge: {quantile: 95%, min_calls: 20}
    breaker: {failure_rate: 50%, min_calls: 5, window: 10s, open: 5s}
`;
const sidecar = await Sidecar.start(config, '', { main: 'sk-demo-0123456789-aaaa1f3c', spare: 'sk-demo-0123456789-bbbb9d07' });
let running = true;
const busy = (async () => {
  while (running) {
    await load(40, 10, (number) => {
      if (number % 8 === 7) return sidecar.chat({ model: 'text-embedding-3-small', input: 'hello' }, {}, '/v1/embeddings');
      const model = number % 5 === 4 ? 'gpt-4o' : number % 2 ? 'glm-4.7' : 'glm-4.7-air';
      return sidecar.chat({ model, stream: number % 3 !== 0, max_tokens: 10 + (number * 7) % 60 });
    });
    await sleep(100 + 300 * Math.abs(Math.sin(Date.now() / 20_000)));
  }
})();
const chrome = await browser();
try {
  const page = await open(chrome, sidecar, { deviceScaleFactor: 1, viewport: { width: 1280, height: 900 } });
  await sleep(minutes * 60_000);
  for (const [name, options] of [['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }]]) {
    await page.emulateMedia(options);
    await page.setViewportSize({ width: 1280, height: process.argv[4] === 'full' ? 2900 : 1200 });
    await drawn(page);
    await sleep(1500);
    await page.screenshot({ path: `${into}/page-${name}.png` });
    await page.setViewportSize({ width: 1280, height: 900 });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  const calls = await sidecar.get('/calls?limit=1000');
  const telling = (call) => (call.status === 200 ? (call.tries?.length ?? 0) * 2 + Number(Boolean(call.stream)) + (call.notes?.length ?? 0) : 0);
  calls.sort((one, other) => telling(other) - telling(one));
  await page.goto(`${sidecar.admin}/#call=${calls[0].request_id}`);
  await page.reload();
  await page.setViewportSize({ width: 1280, height: 1100 });
  await page.waitForSelector('.sequence');
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: `${into}/page-call.png` });
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 390, height: 844 });
  await drawn(page);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${into}/page-phone.png`, fullPage: process.argv[4] === 'full' });
  console.log(page.errors);
} finally {
  running = false;
  await chrome.close();
  await busy;
  await sidecar.stop();
  await fleet.stop();
}
