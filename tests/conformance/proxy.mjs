// Stands before the gateway for the conformance suite, which sends no Authorization header: adds one and hands
// everything else on as it came, Host included. Arguments: the gateway's origin, and the file that will hold the key.
// Prints its own URL.

import { readFileSync } from 'node:fs';
import http from 'node:http';

const [gateway, keyFile] = process.argv.slice(2);
const { hostname, port } = new URL(gateway);

const proxy = http.createServer((request, response) => {
  const { method, url: path } = request;
  const headers = { ...request.headers, authorization: `Bearer ${readFileSync(keyFile, 'utf8').trim()}` };
  const onwards = http.request({ hostname, port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
  });
  onwards.on('error', (error) => response.destroy(error));
  response.on('close', () => onwards.destroy());
  request.pipe(onwards);
});
proxy.listen(0, '127.0.0.1', () => console.log(`proxy at http://127.0.0.1:${proxy.address().port}/mcp`));
