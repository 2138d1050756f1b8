// A user's browser: Debian's headless chromium. Opens the address to which a client redirects its user and answers each
// page until it is back at the client.
//
//   node browser.mjs URL BACK PAGE=BUTTON…
//
// BACK is the beginning of the client's own address. Each PAGE, identified by its headline, must come in this order,
// and the BUTTON with that name is pressed. Every page must fit a phone, work without scripts and not violate its own
// content security policy. With SCREENSHOTS in the environment, saves screenshots of each page in that directory.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [url, back, ...steps] = process.argv.slice(2);
const { CHROMIUM = '/usr/bin/chromium', SCREENSHOTS } = process.env;
const WIDTHS = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const PATIENCE = 60_000;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  // Only the gateway's pages count; other sites have their own messages.
  page.on('console', (message) => {
    const ours = message.location().url.startsWith(new URL(url).origin);
    if (ours && ['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(url);
  for (const [index, step] of steps.entries()) {
    const [headline, button] = step.split('=');
    const heading = page.getByRole('heading', { level: 1 });
    assert.equal(await heading.textContent(), headline, `at ${page.url()}: ${await page.content()}`);
    for (const [name, size] of Object.entries(WIDTHS)) {
      await page.setViewportSize(size);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `"${headline}" is ${overflow} pixels too wide for a ${name}`);
      const path = `${SCREENSHOTS}/${headline.toLowerCase().replaceAll(/\W+/g, '-')}-${index + 1}-${name}.png`;
      if (SCREENSHOTS) await page.screenshot({ path, fullPage: true });
    }
    assert.equal(await page.locator('script').count(), 0, `"${headline}" has a script`);
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.waitForLoadState();
  }
  await page.waitForURL((at) => at.href.startsWith(back));
  assert.deepEqual(complaints, [], 'the browser complained');
} finally {
  await browser.close();
}
