// Elements. Text from outside goes into text nodes and attributes, and never into markup.

const SVG = 'http://www.w3.org/2000/svg';

/** Make an element. `class`, `text` and `on…` are as they say, all else are attributes. */
export function el(name, given = {}, ...children) {
  return fill(document.createElement(name), given, children);
}

/** Make an element of a drawing. */
export function svg(name, given = {}, ...children) {
  return fill(document.createElementNS(SVG, name), given, children);
}

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'text') element.textContent = value;
    else if (name === 'class') element.setAttribute('class', value);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Change a text only if it differs: what is selected or read aloud stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Change an attribute only if it differs; null removes it. */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A bar that is filled to a share of it. `level` is ok, warn or bad. */
export function meter(share, label, level = '') {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return svg('svg', { class: `meter ${level}`, role: 'img', 'aria-label': label, viewBox: '0 0 100 6',
    preserveAspectRatio: 'none' },
    svg('rect', { class: 'meter-all', width: 100, height: 6, rx: 1 }),
    svg('rect', { class: 'meter-part', width, height: 6, rx: 1 }));
}

/** A word in a coloured pill. */
export function badge(text, level = '') {
  return el('span', { class: `badge ${level}`, text });
}

export const byId = (id) => document.getElementById(id);
