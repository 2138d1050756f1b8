// The checks that every client runs. `connect` takes an API key and returns {revision, list, call, close}: `list`
// returns the tools, `call` the client's view of a tool result, {isError, structuredContent, content}.

import assert from 'node:assert/strict';

const { MCP_URL, CONNECTED_KEY, UNCONNECTED_KEY } = process.env;

async function check(what, act) {
  try {
    await act();
    console.log(`ok      ${what}`);
  } catch (error) {
    console.log(`FAILED  ${what}: ${error.stack ?? error}`);
    process.exitCode = 1;
  }
}

const textOf = (result) => result.content.map((block) => block.text ?? '').join('\n');

// Returns the record or page of a tool result.
function answer(result) {
  assert.ok(!result.isError, textOf(result));
  return result.structuredContent ?? JSON.parse(textOf(result));
}

async function checkReading(name, client) {
  await check(`${name}: lists the tools${client.revision ? ` (${client.revision})` : ''}`, async () => {
    const tools = await client.list();
    for (const expected of ['list_properties', 'get_guest', 'update_guest']) {
      assert.ok(tools.some((tool) => tool.name === expected), `${expected} is not among ${tools.map((t) => t.name)}`);
    }
    for (const tool of tools) assert.ok(tool.description && tool.inputSchema.type === 'object', tool.name);
  });
  await check(`${name}: reads`, async () => {
    const { items } = answer(await client.call('list_properties', { limit: 2 }));
    assert.equal(items.length, 2);
    assert.ok(items.every((property) => property.id && property.name), JSON.stringify(items));
  });
  await check(`${name}: a wrong argument is named, with what is allowed`, async () => {
    const result = await client.call('list_properties', { limit: 1_000_000 });
    assert.ok(result.isError, 'it was taken');
    assert.match(textOf(result), /`limit`.*100/s);
  });
}

// For programs that are not clients themselves but connect a client; `connect` knows the address and the key.
export async function checkBasics(name, connect) {
  const client = await connect();
  await checkReading(name, client);
  await client.close();
}

export async function checkAll(name, connect) {
  const client = await connect(MCP_URL, CONNECTED_KEY);
  const note = `checked with ${name}, ${client.revision}`;
  await checkReading(name, client);
  await check(`${name}: writes, and what it wrote is there`, async () => {
    const guests = answer(await client.call('list_guests', { created_since_utc: '2001-01-01T00:00:00Z', limit: 1 }));
    const id = guests.items[0].id;
    answer(await client.call('update_guest', { id, notes: note }));
    assert.equal(answer(await client.call('get_guest', { id })).notes, note);
  });
  await client.close();
  // 2025-06-18 introduced output schemas.
  const showsSchemas = !(client.revision < '2025-06-18');
  if (showsSchemas) await check(`${name}: takes answers that it was shown the schema of, tables included`, async () => {
    const chosen = await connect(`${MCP_URL}?output_schemas=true`, CONNECTED_KEY);
    const tools = await chosen.list();
    assert.ok(tools.some((tool) => tool.name === 'list_properties' && tool.outputSchema?.type === 'object'));
    answer(await chosen.call('list_properties', { limit: 2 }));
    const table = answer(await chosen.call('list_properties', { limit: 2, format: 'table' }));
    assert.match(table.table, /\n/);
    answer(await chosen.call('who_is_staying', { fields: ['counts'] }));
    const wrong = await chosen.call('list_properties', { limit: 1_000_000 });
    await chosen.close();
    assert.ok(wrong.isError, 'it was taken');
  });
  await check(`${name}: an account that is not connected gets a link`, async () => {
    const stranger = await connect(MCP_URL, UNCONNECTED_KEY);
    const result = await stranger.call('list_properties', {});
    await stranger.close();
    assert.ok(result.isError, 'it got an answer');
    assert.match(textOf(result), /http:\/\/127\.0\.0\.1:\d+\/\S+/);
    assert.match(textOf(result), /connect/i);
  });
}
