// npm @modelcontextprotocol/client. Arguments: the revision that must be negotiated, and how to negotiate it.

import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { checkAll } from './checks.mjs';

const [revision, how = 'default'] = process.argv.slice(2);
const options = {
  default: {},
  auto: { versionNegotiation: { mode: 'auto' } },
  pinned: { versionNegotiation: { mode: { pin: revision } } },
}[how];

await checkAll(`@modelcontextprotocol/client, ${how}`, async (url, key) => {
  const client = new Client({ name: 'clients.sh', version: '1' }, options);
  const headers = { Authorization: `Bearer ${key}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  assert.equal(client.getNegotiatedProtocolVersion(), revision);
  return {
    revision,
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
});
