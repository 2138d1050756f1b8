// npm @modelcontextprotocol/sdk 1.x, which most clients in the field are built on. Argument: the revision it must agree
// on.

import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { checkAll } from './checks.mjs';

const [revision] = process.argv.slice(2);

await checkAll('@modelcontextprotocol/sdk', async (url, key) => {
  const client = new Client({ name: 'clients.sh', version: '1' });
  const headers = { Authorization: `Bearer ${key}` };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport);
  assert.equal(transport.protocolVersion, revision);
  return {
    revision,
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
});
