// A user with a browser without a display: opens the address, submits the forms of the gateway's consent page and of
// the simulated OwnerRez's approval page, and stops at a page without a form. Argument: the address.

import assert from 'node:assert/strict';

const cookies = new Map();
// A sign-in is two pages and some redirects; more means a redirect loop.
const STEPS = 12;

async function open(url, form) {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const response = await fetch(url, {
    method: form ? 'POST' : 'GET',
    body: form,
    headers: cookie ? { cookie } : {},
    redirect: 'manual',
  });
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
    if (value) cookies.set(name, value);
    else cookies.delete(name);
  }
  return response;
}

const text = (value) =>
  value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const attribute = (tag, name) => text(tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1] ?? '');

// Returns the first form of the page, filled in to agree and to revoke nothing: its fields, the preselected choice and
// its first button.
function answer(page, at) {
  const forms = page.match(/<form\b[^>]*>.*?<\/form>/gs) ?? [];
  const form = forms.find((form) => !/<button\b[^>]*\bclass="ending"/.test(form));
  if (!form) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of form.matchAll(/<input\b[^>]*>/g)) {
    if (['radio', 'checkbox'].includes(attribute(input, 'type')) && !/\bchecked\b/.test(input)) continue;
    fields.append(attribute(input, 'name'), attribute(input, 'value'));
  }
  const button = form.match(/<button\b[^>]*>/)[0];
  if (attribute(button, 'name')) fields.append(attribute(button, 'name'), attribute(button, 'value'));
  return { url: new URL(attribute(form, 'action'), at).href, fields };
}

let url = process.argv[2];
let response = await open(url);
for (let step = 0; ; step += 1) {
  assert.ok(step < STEPS, `still not at the end: ${url}`);
  const location = response.headers.get('location');
  if (location) {
    url = new URL(location, url).href;
    response = await open(url);
    continue;
  }
  const page = await response.text();
  assert.equal(response.status, 200, `${url}: ${page}`);
  const next = answer(page, url);
  if (!next) break;
  console.log(`agrees to: ${text(page.match(/<h1>(.*?)<\/h1>/s)[1])}`);
  url = next.url;
  response = await open(url, next.fields);
}
