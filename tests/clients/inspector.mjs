// npm @modelcontextprotocol/inspector on the command line: one process per request. Argument: the protocol era. Its
// check of tool schemas for other clients (`--strict`) must report no error.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { checkAll } from './checks.mjs';

const [era] = process.argv.slice(2);
const program = `${process.env.MODULES}/@modelcontextprotocol/inspector/clients/launcher/build/index.js`;
const run = promisify(execFile);
// The exit code when the tool result is an error; the result is printed nevertheless.
const TOOL_IS_ERROR = 5;

async function inspect(url, key, ...request) {
  const target = ['--cli', url, '--transport', 'http', '--header', `Authorization: Bearer ${key}`, '--protocol-era', era];
  const args = [program, ...target, '--format', 'json', ...request];
  const { stdout } = await run(process.execPath, args, { maxBuffer: 1 << 24 }).catch((error) => {
    if (error.code === TOOL_IS_ERROR) return error;
    throw error;
  });
  return JSON.parse(stdout).result;
}

await checkAll('inspector --cli', async (url, key) => ({
  revision: `${era} era`,
  list: async () => (await inspect(url, key, '--method', 'tools/list', '--strict')).tools,
  call: (name, args) =>
    inspect(url, key, '--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)),
  close: async () => {},
}));
