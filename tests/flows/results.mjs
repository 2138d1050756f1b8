// Reads the results of the conformance suite. Arguments: its output directory, and the checks that must be present.
// Every check must have passed: the suite's own exit code ignores warnings and skipped checks.

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
