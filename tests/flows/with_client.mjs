// npm @modelcontextprotocol/client signs in with its own OAuth implementation and only the address of the gateway:
// discovery, registration, consent in a browser, a code, a tool call, a refresh and a revocation. If KEY, the file of a
// private key, is in the environment, it does not register: it is the client whose document document.mjs made, and it
// signs.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  Client, StreamableHTTPClientTransport, UnauthorizedError, createPrivateKeyJwtAuth,
} from '@modelcontextprotocol/client';

const { MCP_URL, ACCOUNT, KEY } = process.env;
const DOCUMENT = 'https://client.example/client.json';
const NAME = KEY ? '@modelcontextprotocol/client with a document' : '@modelcontextprotocol/client';
const run = promisify(execFile);
const said = (what) => console.log(`ok      ${NAME}: ${what}`);

// The address to which the browser returns; `landed` gets the query.
let landed;
const server = createServer((request, response) => {
  const at = new URL(request.url, callback);
  if (at.pathname === '/callback') landed?.(at.searchParams);
  response.writeHead(at.pathname === '/callback' ? 200 : 404, { 'Content-Type': 'text/plain' });
  response.end('You may close this page.');
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const callback = `http://127.0.0.1:${server.address().port}/callback`;

const sign = KEY && createPrivateKeyJwtAuth({
  issuer: DOCUMENT, subject: DOCUMENT, privateKey: readFileSync(KEY, 'utf8'), alg: 'RS256',
});
const kept = {};
let sentTo;
const provider = {
  redirectUrl: callback,
  clientMetadata: {
    client_name: 'A client from npm',
    redirect_uris: [callback],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: KEY ? 'private_key_jwt' : 'none',
  },
  ...(KEY && { clientMetadataUrl: DOCUMENT, addClientAuthentication: sign }),
  state: () => (kept.state = crypto.randomUUID()),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  redirectToAuthorization: (url) => { sentTo = url; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (discovery) => { kept.discovery = discovery; },
  invalidateCredentials: (what) => {
    if (what === 'all' || what === 'tokens') delete kept.tokens;
    if (what === 'all' || what === 'client') delete kept.client;
  },
};
const transport = () => new StreamableHTTPClientTransport(new URL(MCP_URL), { authProvider: provider });
const client = () => new Client({ name: 'flows.sh', version: '1' }, { versionNegotiation: { mode: 'auto' } });

// Acts as the user at the browser; returns the parameters of the redirect.
async function person(...steps) {
  const back = new Promise((resolve) => { landed = resolve; });
  await run(process.execPath, ['browser.mjs', sentTo.href, callback, ...steps]);
  const parameters = await back;
  assert.equal(parameters.get('state'), kept.state);
  return parameters;
}

async function me(connected) {
  const result = await connected.callTool({ name: 'get_current_user', arguments: {} });
  assert.ok(!result.isError, JSON.stringify(result.content));
  return result.structuredContent.id;
}

let asking = transport();
await assert.rejects(client().connect(asking), UnauthorizedError);
assert.ok(KEY ? kept.client.client_id === DOCUMENT : kept.client.client_id, 'it has an id');
assert.equal(sentTo.searchParams.get('resource'), MCP_URL);
said(KEY ? 'finds the authorization server and need not register' : 'finds the authorization server and registers');

const refused = await person('Sign in with OwnerRez=Cancel');
await assert.rejects(asking.finishAuth(refused), { code: 'access_denied' });
assert.equal(kept.tokens, undefined);
said('is told of a no');

asking = transport();
await assert.rejects(client().connect(asking), UnauthorizedError);
await asking.finishAuth(await person(
  'Sign in with OwnerRez=Allow and continue to OwnerRez',
  'Allow access to your account?=Approve',
));
const connected = client();
await connected.connect(transport());
assert.equal(await me(connected), Number(ACCOUNT));
said('is signed in and calls a tool');

// An access token is valid for one minute here. Calls continue until the token has been replaced, whatever the clock of
// this machine does.
const first = kept.tokens;
while (kept.tokens.access_token === first.access_token) {
  await pause(2_000);
  assert.equal(await me(connected), Number(ACCOUNT));
}
assert.notEqual(kept.tokens.refresh_token, first.refresh_token);
said('refreshes its token and goes on');

// The library has no call for RFC 7009.
const { revocation_endpoint, token_endpoint } = kept.discovery.authorizationServerMetadata;
const { client_id } = kept.client;
const body = new URLSearchParams({ client_id, token: kept.tokens.refresh_token });
if (KEY) {
  assert.equal((await fetch(revocation_endpoint, { method: 'POST', body })).status, 401, 'anybody knows its id');
  await sign(new Headers(), body, token_endpoint, kept.discovery.authorizationServerMetadata);
}
assert.equal((await fetch(revocation_endpoint, { method: 'POST', body })).status, 200);
sentTo = undefined;
await assert.rejects(me(connected), UnauthorizedError);
assert.ok(sentTo, 'it asks for a new sign-in');
said('is kept out once its token is revoked');
server.close();
process.exit();
