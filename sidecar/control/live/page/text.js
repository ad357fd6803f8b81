// Numbers, times and texts as people read them.

const INVISIBLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const LONGEST = 300;
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** Text from outside: what is invisible, or turns the direction of writing, is spelled out. */
export function clean(text, longest = LONGEST) {
  const cut = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
  return cut.replace(INVISIBLE, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A count: 1,204. */
export function count(value) {
  return whole.format(value);
}

/** A large number in three digits: 1.2k, 34M. */
export function short(value) {
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (value >= size * 0.9995) return `${digits(value / size, 3)}${unit}`;
  }
  return digits(value, 3);
}

/** At most so many digits, and no zeros behind the point. */
export function digits(value, most) {
  if (value === 0) return '0';
  const behind = Math.max(0, most - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.min(behind, 6) });
}

/** A rate of calls: 0, 0.03, 4.2, 310. */
export function rate(value) {
  return value > 0 && value < 0.01 ? '<0.01' : short(value);
}

/** A share: 99.95 %. It says 100 % only if nothing is missing. */
export function percent(part, total) {
  if (!total) return '–';
  const share = (part / total) * 100;
  if (share > 99.99 && part < total) return '>99.99 %';
  return `${share.toLocaleString('en-US', { maximumFractionDigits: share >= 99 ? 2 : 1 })} %`;
}

/** Milliseconds: 0.4 ms, 312 ms, 1.24 s, 2 min 5 s. */
export function milliseconds(value) {
  if (value < 10) return `${value.toLocaleString('en-US', { maximumFractionDigits: 1 })} ms`;
  if (value < 1000) return `${whole.format(value)} ms`;
  if (value < 60_000) return `${digits(value / 1000, 3)} s`;
  return seconds(value / 1000);
}

/** Seconds in their two largest units: 12 s, 3 min 4 s, 2 h 5 min, 3 d 4 h. */
export function seconds(value) {
  const all = Math.max(0, Math.floor(value));
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const from = Math.max(0, units.findIndex(([, size]) => all >= size));
  if (all < 1) return '0 s';
  const [first, second] = units.slice(from, from + 2);
  const amount = Math.floor(all / first[1]);
  const rest = second ? Math.floor((all % first[1]) / second[1]) : 0;
  return rest ? `${amount} ${first[0]} ${rest} ${second[0]}` : `${amount} ${first[0]}`;
}

/** Money, whose currency only the configuration's author knows. */
export function money(value) {
  if (!value) return '0';
  if (value >= 0.01) {
    return value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 4 });
  }
  return value < 1e-6 ? '<0.000001' : value.toPrecision(2);
}

/** Bytes: 41 MiB. */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${digits(value, 3)} ${units[unit]}`;
}

/** The time of day, in the browser's zone. */
export function clock(unix) {
  return new Date(unix * 1000).toLocaleTimeString('en-GB');
}

/** Counts by name, the largest first: "503 × 12, 429 × 3". */
export function listed(counts, most = 4) {
  const entries = Object.entries(counts).filter(([, number]) => number);
  entries.sort((a, b) => b[1] - a[1]);
  const shown = entries.slice(0, most).map(([name, number]) => `${clean(name)} × ${count(number)}`);
  if (entries.length > most) shown.push(`${entries.length - most} more`);
  return shown.join(', ');
}
