// A browser of our own for each run, and what every test needs of it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { pathOf } from './pages.mjs';
import * as shop from './shop.mjs';

export const widths = [
  { name: 'desk', width: 1440, height: 900 },
  { name: 'phone', width: 390, height: 844, isMobile: true, hasTouch: true },
];

/** Starts Chromium with a profile of its own, which goes when it ends. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox', // there is none for root, as in a container
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

// The browser's own words about an answer or a connection: the page has to say
// them in its own, which is what the tests look at.
const network = /^(Failed to load resource|WebSocket connection to)/;

/**
 * Opens a page that keeps a record of what must not happen: documents loaded
 * after the first, exceptions, errors and warnings in the console, violations of
 * the content security policy, files that are not there. To close its context is
 * to look into that record. `prepare` gets the page before it goes anywhere.
 */
export async function open(browser, path, { width, height, isMobile = false, hasTouch = false, colorScheme = 'light', storage = {}, baseURL = shop.baseURL, prepare }) {
  const context = await browser.newContext({ baseURL, viewport: { width, height }, isMobile, hasTouch, colorScheme, reducedMotion: 'reduce' });
  // What an earlier visit left in the browser; a reload keeps what the page has made of it since.
  await context.addInitScript((kept) => {
    if (globalThis.top !== globalThis || location.origin === 'null' || sessionStorage.getItem('arranged')) return;
    for (const [key, value] of Object.entries(kept)) localStorage.setItem(key, JSON.stringify(value));
    sessionStorage.setItem('arranged', 'yes');
  }, storage);
  const page = await context.newPage();
  const trouble = [];
  page.on('pageerror', (error) => trouble.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !network.test(message.text())) trouble.push(`console: ${message.text()}`);
  });
  page.on('requestfailed', (request) => {
    const { errorText = '' } = request.failure() ?? {};
    const wanted = ['script', 'stylesheet', 'font'].includes(request.resourceType());
    if (wanted && errorText !== 'net::ERR_ABORTED') trouble.push(`${request.url()}: ${errorText}`);
  });
  page.on('requestfinished', (request) => {
    // What was lost on the way and came at last is no trouble.
    for (let i = trouble.length - 1; i >= 0; i--) if (trouble[i].startsWith(`${request.url()}: net::`)) trouble.splice(i, 1);
  });
  page.on('response', (response) => {
    if (response.status() >= 400 && !new URL(response.url()).pathname.startsWith('/api/') && !response.url().endsWith('/readyz')) trouble.push(`${response.url()}: ${response.status()}`);
  });
  const close = context.close.bind(context);
  context.close = async () => {
    await close();
    assert.deepEqual(trouble, [], `what happened unseen at ${path}`);
  };
  let documents = 0;
  page.on('request', (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) documents++;
  });
  await prepare?.(page);
  await page.goto(path);
  return { page, context, trouble, documents: () => documents };
}

/** Opens one of the pages, as browser.mjs opens a path. */
export async function visit(browser, one, viewport) {
  return open(browser, await pathOf(one), { ...viewport, storage: await one.storage?.() });
}

/** How many pixels the page is wider than the screen; a phone would zoom out to show them. */
export async function overflow(page) {
  const { width } = page.viewportSize();
  return page.evaluate((screen) => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return Math.max(0, scrollWidth - Math.min(clientWidth, screen));
  }, width);
}

const axe = await readFile(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

/** What axe-core finds serious or critical in a page as it is now, as lines to read. */
export async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, impact, nodes }) => nodes.map((n) => `${impact} ${id}: ${n.target.join(' ')}: ${n.failureSummary}`));
}
