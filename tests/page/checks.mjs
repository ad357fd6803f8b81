// What is checked of the page as a whole.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { sleep } from './world.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Violations that axe-core finds in *part* of the page, as texts. */
export async function axe(page, part = 'html') {
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(AXE); // by the debugger: no CSP holds it
  const { violations } = await page.evaluate((within) => globalThis.axe.run(within, { resultTypes: ['violations'],
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }), part);
  return violations.map((each) => `${each.id}: ${each.help}: ${each.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(' | ')}`);
}

/** Elements that reach beyond the sides of the screen, if the page can be scrolled there. */
export function sideways(page) {
  return page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    const found = document.documentElement.scrollWidth > wide ? [`the page is ${document.documentElement.scrollWidth} wide, not ${wide}`] : [];
    for (const element of document.querySelectorAll('main *, dialog, dialog *')) {
      const box = element.getBoundingClientRect();
      const inScroller = element.closest('.scroll, .code, .hidden, thead, nav');
      if (box.width && (box.right > wide + 1 || box.left < -1) && !inScroller && getComputedStyle(element).position !== 'absolute') {
        found.push(`${element.tagName}.${element.getAttribute('class') ?? ''} from ${Math.round(box.left)} to ${Math.round(box.right)}`);
      }
    }
    return found.slice(0, 5);
  });
}

/** What the page and the sidecar hold now: bytes of live objects, elements, listeners; resident KiB. */
async function held(page, sidecar, session) {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  const { nodes, jsEventListeners } = await session.send('Memory.getDOMCounters');
  return { heap: usedSize, nodes, listeners: jsEventListeners, resident: await sidecar.metric('process_resident_memory_bytes') };
}

/** Carry *calls* calls to fill what is bounded, then twice as many; tell what has grown. */
export async function flat(page, sidecar, carry, calls) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.enable');
  await carry(calls);
  await sleep(2000);
  const before = await held(page, sidecar, session);
  await carry(2 * calls);
  await sleep(2000);
  const after = await held(page, sidecar, session);
  if (process.env.PAGE_CALLS) console.log('memory', { calls: 3 * calls, before, after });
  const most = { heap: 2_000_000, nodes: 400, listeners: 60, resident: 6_000_000 };
  return Object.entries(most).filter(([name, room]) => after[name] - before[name] > room).map(([name]) => `${name}: ${before[name]} before, ${after[name]} after`);
}
