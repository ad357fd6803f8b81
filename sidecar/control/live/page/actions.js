// Changes: each is asked about first, and carries the token of this page.

import { el } from './dom.js';

/** POST to a page of the admin API. Throw an Error that says why it was refused. */
export async function post(store, path, query = {}) {
  const reply = await fetch(`${path}?${new URLSearchParams(query)}`, {
    method: 'POST', headers: { 'x-sidecar-token': store.token }, cache: 'no-store' });
  const body = await reply.json().catch(() => null);
  if (!reply.ok) throw new Error(body?.error?.message ?? `the sidecar answered ${reply.status}`);
  return body;
}

/** GET a page of the admin API. */
export async function get(path, query = {}) {
  const asked = new URLSearchParams(query).toString();
  const reply = await fetch(asked ? `${path}?${asked}` : path, { headers: { accept: 'application/json' }, cache: 'no-store' });
  const body = await reply.json().catch(() => null);
  if (!reply.ok) throw new Error(body?.error?.message ?? `the sidecar answered ${reply.status}`);
  return body;
}

/**
 * Open a dialog. `content` is an element; `actions` are {label, level, run}; `run` may throw an
 * Error, whose message is shown, and the dialog stays.
 */
export function dialog({ title, content, actions = [], name = '', onclose }) {
  const id = `dialog-${name || 'title'}`;
  const error = el('p', { class: 'banner bad', role: 'alert', hidden: true });
  const box = el('dialog', { class: `dialog ${name}`, 'aria-labelledby': id });
  const buttons = actions.map(({ label, level, run }) => {
    const button = el('button', { type: 'button', class: `button ${level ?? ''}`, text: label });
    button.addEventListener('click', async () => {
      button.disabled = true;
      try {
        await run();
        box.close();
      } catch (failure) {
        error.textContent = failure.message;
        error.hidden = false;
      }
      button.disabled = false;
    });
    return button;
  });
  const shut = el('button', { type: 'button', class: 'button', text: 'Cancel', onclick: () => box.close() });
  box.append(
    el('div', { class: 'dialog-head' }, el('h2', { id, text: title }),
      el('button', { type: 'button', class: 'close', 'aria-label': 'Close', text: '✕', onclick: () => box.close() })),
    el('div', { class: 'dialog-body' }, content, error),
    buttons.length ? el('div', { class: 'dialog-foot' }, shut, ...buttons) : '');
  box.addEventListener('click', (event) => event.target === box && box.close()); // the backdrop
  box.addEventListener('close', () => {
    box.remove();
    onclose?.();
  });
  document.body.append(box);
  box.showModal();
  return box;
}

/** Ask whether to do something; then do it. */
export function confirm(title, text, label, run, level = 'strong') {
  return dialog({ title, content: el('p', { text }), actions: [{ label, level, run }], name: 'question' });
}

/** Copy a text, and say so on the button. */
export async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Could not copy';
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}
