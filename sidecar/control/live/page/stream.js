// The stream of events, read with fetch: an EventSource does not say why it was refused.

const SILENT = 20_000; // milliseconds without a message after which the sidecar is taken to be gone
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const HIDDEN = 60_000; // a page that nobody sees lets the sidecar rest after so long

/** Calls `onMessage(event, data)`, and `onState({connected, since, retryAt, reason})`. */
export class Stream {
  constructor(url, onMessage, onState) {
    this.url = url;
    this.onMessage = onMessage;
    this.onState = onState;
    this.failures = 0;
    this.goneSince = null;
    this.hiddenTimer = null;
    this.resting = false;
    document.addEventListener('visibilitychange', () => this.seen(!document.hidden));
  }

  start() {
    clearTimeout(this.retryTimer);
    this.abort?.abort();
    this.abort = new AbortController();
    this.read(this.abort);
  }

  seen(visible) {
    clearTimeout(this.hiddenTimer);
    if (visible) {
      if (this.resting) {
        this.resting = false;
        this.start();
      }
      return;
    }
    this.hiddenTimer = setTimeout(() => {
      this.resting = true;
      clearTimeout(this.retryTimer);
      this.abort?.abort();
    }, HIDDEN);
  }

  async read(abort) {
    let reason;
    try {
      const reply = await fetch(this.url, {
        headers: { accept: 'text/event-stream' }, cache: 'no-store', signal: abort.signal });
      if (reply.ok) reason = await this.follow(reply.body.getReader(), abort);
      else reason = await refusal(reply);
    } catch (error) {
      reason = error.name === 'AbortError' ? 'it sent nothing' : 'it does not answer';
    }
    if (abort === this.abort && !this.resting) this.lost(reason);
  }

  async follow(reader, abort) {
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
      const watchdog = setTimeout(() => abort.abort(), SILENT);
      const { done, value } = await reader.read();
      clearTimeout(watchdog);
      if (done) return 'it ended the stream';
      const parts = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = parts.pop();
      for (const part of parts) this.take(part);
    }
  }

  take(part) {
    const end = part.indexOf('\n');
    const event = part.slice('event: '.length, end);
    this.onMessage(event, JSON.parse(part.slice(end + 1 + 'data: '.length)));
    if (this.goneSince !== null || this.failures || event === 'snapshot') {
      this.failures = 0;
      this.goneSince = null;
      this.onState({ connected: true });
    }
  }

  lost(reason) {
    this.failures += 1;
    this.goneSince ??= Date.now();
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.failures - 1));
    this.onState({ connected: false, since: this.goneSince, retryAt: Date.now() + wait, reason });
    this.retryTimer = setTimeout(() => this.start(), wait);
  }
}

async function refusal(reply) {
  try {
    return (await reply.json()).error.message;
  } catch {
    return `it answers ${reply.status}`;
  }
}
