// Proxies the requests of the conformance suite, which sends no Authorization header, to the gateway: adds that header
// and forwards everything else unchanged, including Host. Arguments: the gateway's origin, and the file that will
// contain the key. Prints its own URL.

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
