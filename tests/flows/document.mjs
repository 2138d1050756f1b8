// Makes the documents that a client publishes at https://client.example/ and its key: node document.mjs DIRECTORY

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const [directory] = process.argv.slice(2);
const client_id = 'https://client.example/client.json';
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' };
const write = (name, text) => writeFileSync(`${directory}/${name}`, text);
write('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
write('jwks.json', JSON.stringify({ keys: [key] }));
write('client.json', JSON.stringify({
  client_id,
  client_name: 'A client with a document',
  redirect_uris: ['http://127.0.0.1/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: 'RS256',
  jwks_uri: 'https://client.example/jwks.json',
}));
