// npm @modelcontextprotocol/sdk 1.x, which most clients in the field are built on. Arguments: the revision it must agree
// on, and the name under which an older version of it is installed.

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
  // 1.10 does not say what it agreed on. It knows 2025-03-26 and what is older.
  if (revision !== '2025-03-26') assert.equal(transport.protocolVersion, revision);
  return {
    revision,
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
});
