// Reads what the conformance suite found. Arguments: its output directory, and the checks that must be there. All that
// are there must have passed: the suite's own exit code lets warnings and checks that it left out pass.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [directory, ...expected] = process.argv.slice(2);
const files = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith('checks.json'));
const checks = files.flatMap((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')));
for (const { id, status, errorMessage } of checks) {
  console.log(`${status === 'SUCCESS' ? 'ok     ' : status} ${id}${errorMessage ? `: ${errorMessage}` : ''}`);
  if (status !== 'SUCCESS') process.exitCode = 1;
}
for (const id of expected.filter((id) => !checks.some((check) => check.id === id))) {
  console.log(`MISSING ${id}`);
  process.exitCode = 1;
}
