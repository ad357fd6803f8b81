// A faulty fleet, a sidecar in front of it, calls, and a browser.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SIDECAR = join(ROOT, '.venv/bin/sidecar');
const WAIT = 30_000;

/** Wait until *condition* holds; return what it returned. */
export async function until(condition, what, wait = WAIT) {
  const end = Date.now() + wait;
  let error;
  while (Date.now() < end) {
    try {
      const found = await condition();
      if (found) return found;
    } catch (failure) {
      error = failure;
    }
    await sleep(50);
  }
  throw new Error(`${what} did not come true${error ? `: ${error}` : ''}`);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Ports that are free now. */
export async function freePorts(number) {
  const servers = await Promise.all(Array.from({ length: number }, () => new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A program of the sidecar's. `stop` ends it and waits. */
export class Program {
  constructor(...args) {
    this.child = spawn(SIDECAR, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    this.said = '';
    this.child.stderr.on('data', (data) => { this.said = (this.said + data).slice(-20_000); });
    this.lines = createInterface({ input: this.child.stdout });
    this.ended = new Promise((resolve) => this.child.on('exit', resolve));
  }

  get pid() {
    return this.child.pid;
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    await this.ended;
  }
}

/** Simulated endpoints: `urls`, and `counts()` of what each did. */
export class Fleet extends Program {
  static async start(behaviours) {
    const fleet = new Fleet('simulate', '--json', '--port', '0', ...behaviours.flatMap((each) => ['--behaviour', each]));
    fleet.urls = [];
    for await (const line of fleet.lines) {
      const told = JSON.parse(line);
      if (told.url) fleet.urls.push(told.url);
      if (fleet.urls.length === behaviours.length) break;
    }
    return fleet;
  }

  async counts() {
    return Promise.all(this.urls.map(async (url) => (await fetch(`${url}/_simulate`)).json()));
  }
}

/** A sidecar in a folder of its own. `configure(text)` writes its file. */
export class Sidecar {
  constructor(ports) {
    [this.port, this.adminPort] = ports;
    this.folder = mkdtempSync(join(tmpdir(), 'llm-sidecar-page-'));
    this.file = join(this.folder, 'sidecar.yaml');
    this.url = `http://127.0.0.1:${this.port}`;
    this.admin = `http://127.0.0.1:${this.adminPort}`;
  }

  static async start(configuration, listeners = '', files = {}) {
    const sidecar = new Sidecar(await freePorts(2));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(sidecar.folder, name), text, { mode: 0o600 });
    sidecar.listeners = listeners;
    sidecar.configure(configuration);
    await sidecar.run();
    return sidecar;
  }

  configure(text) {
    writeFileSync(this.file, `listeners: [{address: "127.0.0.1:${this.port}"}${this.listeners ?? ''}]\nadmin: {address: "127.0.0.1:${this.adminPort}"}\naccess_log: {path: ${this.folder}/access.log}\n${text.replaceAll('FOLDER', this.folder)}`);
  }

  async run() {
    this.program = new Program('run', '-c', this.file);
    try {
      await until(async () => (await fetch(`${this.admin}/ready`)).ok, 'the sidecar’s start');
    } catch (error) {
      throw new Error(`${error.message}\n${this.program.said}`);
    }
  }

  async get(path) {
    return (await fetch(`${this.admin}${path}`)).json();
  }

  /** Sums of a metric's samples whose labels include *labels*. */
  async metric(name, labels = {}) {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`))) sum += Number(line.split(' ').at(-1));
    }
    return sum;
  }

  async chat(body = {}, headers = {}, path = '/v1/chat/completions') {
    const reply = await fetch(`${this.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }], ...body }) });
    await reply.arrayBuffer();
    return reply.status;
  }

  async stop() {
    await this.program.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Make *number* calls, so many at once; return how often each status came. */
export async function load(number, atOnce, call) {
  const statuses = {};
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < number) {
      const status = await call(next++).catch((error) => error.cause?.code ?? error.message);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  }));
  return statuses;
}

/** Chromium, as `CHROMIUM` or the path has it. */
export function browser(...args) {
  return chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', ...args] });
}

/** Open the page of *sidecar*; every error of it is in `page.errors`. */
export async function open(browser_, sidecar, { hash = '', clock = false, ...options } = {}) {
  const context = await browser_.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  if (clock) await page.clock.install(); // time goes on, and can be put forward
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && page.errors.push(message.text()));
  page.on('request', (asked) => new URL(asked.url()).origin === sidecar.admin || page.errors.push(`it fetches ${asked.url()}`));
  await page.goto(`${sidecar.admin}/${hash}`);
  await drawn(page);
  return page;
}

/** Wait until the page has drawn a message of the stream, a later one than before. */
export async function drawn(page) {
  const before = await page.evaluate(() => document.documentElement.dataset.drawn ?? '');
  await page.waitForFunction((old) => (document.documentElement.dataset.drawn ?? '') !== old, before, { timeout: WAIT });
}
