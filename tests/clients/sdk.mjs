// npm @modelcontextprotocol/sdk 1.x, on which most clients in use are built. Arguments: the revision that must be
// negotiated, and the name under which an older version of the package is installed.

import assert from 'node:assert/strict';
import { checkAll } from './checks.mjs';

const [revision, name = '@modelcontextprotocol/sdk'] = process.argv.slice(2);
const { Client } = await import(`${name}/client/index.js`);
const { StreamableHTTPClientTransport } = await import(`${name}/client/streamableHttp.js`);

await checkAll(name, async (url, key) => {
  const client = new Client({ name: 'clients.sh', version: '1' });
  const headers = { Authorization: `Bearer ${key}` };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport);
  // 1.10 does not expose the negotiated revision. It supports 2025-03-26 and older.
  if (revision !== '2025-03-26') assert.equal(transport.protocolVersion, revision);
  return {
    revision,
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
});
