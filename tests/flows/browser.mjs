// One person's browser: Debian's chromium, without a display. It opens the address to which a client sends people and
// answers what it is asked, until it is back at the client.
//
//   node browser.mjs URL BACK PAGE=BUTTON…
//
// BACK is how the client's own address begins; each PAGE, named by its headline, must come in this order and is
// answered with the BUTTON of that name. Every page must fit a phone, need no script and do nothing that its own policy
// forbids. With SCREENSHOTS in the environment, pictures of each page are left in that directory.

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
  // On the gateway's pages; others have theirs.
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
