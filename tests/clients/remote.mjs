// npm mcp-remote, which connects clients without HTTP to servers: it communicates over standard input and output.
// Argument: how it authenticates. "key" sends a key in a header; "sign-in" opens a browser, which BROWSER in the
// environment names; "slash" does the same at an address with a trailing slash.

import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { checkBasics } from './checks.mjs';

const { MODULES, MCP_URL, CONNECTED_KEY } = process.env;
const [how] = process.argv.slice(2);
const url = how === 'slash' ? `${MCP_URL}/` : MCP_URL;
const header = how === 'key' ? ['--header', `Authorization:Bearer ${CONNECTED_KEY}`] : [];

await checkBasics(`mcp-remote, ${how}`, async () => {
  const client = new Client({ name: 'clients.sh', version: '1' });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [`${MODULES}/mcp-remote/dist/proxy.js`, url, '--transport', 'http-only', ...header],
    // Tokens of an earlier run would allow access without a sign-in.
    env: { ...process.env, MCP_REMOTE_CONFIG_DIR: mkdtempSync(join(tmpdir(), 'mcp-remote-')) },
    stderr: 'pipe',
  });
  let said = '';
  transport.stderr.on('data', (text) => { said += text; });
  try {
    await client.connect(transport, { timeout: 90_000 });
  } catch (error) {
    throw new Error(`${error.message}\n${said}`);
  }
  assert.equal(/Please authorize this client by visiting/.test(said), how !== 'key', said);
  return {
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
});
