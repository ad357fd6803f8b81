// Five minutes of numbers in sixty bins of five seconds, and what is worked out from them.

export const BIN = 5;
export const BINS = 60;
const WIDER = 1.1; // of each bucket of times; see `sidecar/control/live/seen.py`

const FIELDS = ['calls', 'ok', 'failed', 'first_ok', 'attempts', 'attempts_ok', 'input', 'output',
  'cost', 'retries'];

export const binOf = (unix) => Math.floor(unix / BIN);

/** Bins since which something is known: a minute at least. */
export const spanOf = (now, since) => Math.max(12, Math.min(BINS, binOf(now) - binOf(since) + 1));

/** The bins of one route, or of all. */
export class Series {
  constructor() {
    this.bins = new Map();
  }

  /** Add *numbers*, some of FIELDS and `first`, to what *bin* has. */
  add(bin, numbers) {
    let found = this.bins.get(bin);
    if (!found) {
      found = { first: new Map() };
      for (const field of FIELDS) found[field] = 0;
      this.bins.set(bin, found);
      for (const old of this.bins.keys()) if (old <= bin - BINS) this.bins.delete(old);
    }
    for (const field of FIELDS) found[field] += numbers[field] ?? 0;
    for (const [bucket, times] of Object.entries(numbers.first ?? {})) {
      const key = Number(bucket);
      found.first.set(key, (found.first.get(key) ?? 0) + times);
    }
  }

  /** Add up *field* over the bins of the last *seconds*. */
  sum(field, now, seconds = BIN * BINS) {
    let total = 0;
    const from = binOf(now) - Math.round(seconds / BIN);
    for (const [bin, numbers] of this.bins) if (bin > from) total += numbers[field];
    return total;
  }

  /** *field* a second, over the current bin and the two before, as far as they were *since* seen. */
  rate(field, now, since) {
    const first = Math.max((binOf(now) - 2) * BIN, since);
    const span = now - first;
    return span > 0 ? this.sum(field, now, 3 * BIN) / Math.max(span, 1) : 0;
  }

  /** *field* in a minute; less than a minute is scaled up. */
  perMinute(field, now, since) {
    const span = Math.min(60, Math.max(BIN, now - since));
    return (this.sum(field, now, 60) * 60) / span;
  }

  /** A time in milliseconds, of the whole answers of the last *seconds*; null if there was none. */
  quantile(share, now, seconds = BIN * BINS) {
    const from = binOf(now) - Math.round(seconds / BIN);
    const all = new Map();
    for (const [bin, numbers] of this.bins) {
      if (bin <= from) continue;
      for (const [bucket, times] of numbers.first) all.set(bucket, (all.get(bucket) ?? 0) + times);
    }
    return quantile(all, share);
  }

  /**
   * The values of `read(numbers)` for each bin, the oldest first: *none* where there were no calls,
   * null where nothing is known. It is as long as *bins*, or as what is known.
   */
  line(now, since, read, none = null, bins = spanOf(now, since)) {
    const last = binOf(now);
    const known = binOf(since);
    return Array.from({ length: bins }, (_, index) => {
      const bin = last - bins + 1 + index;
      const numbers = this.bins.get(bin);
      if (numbers) return read(numbers);
      return bin < known ? null : none;
    });
  }
}

/** The middle of the bucket in which *share* of all *counts* are reached. */
export function quantile(counts, share) {
  const buckets = [...counts].sort((a, b) => a[0] - b[0]);
  const total = buckets.reduce((sum, [, times]) => sum + times, 0);
  let left = total * share;
  for (const [bucket, times] of buckets) {
    left -= times;
    if (left <= 1e-9) return bucket === 0 ? 1 : WIDER ** (bucket - 0.5);
  }
  return null;
}
