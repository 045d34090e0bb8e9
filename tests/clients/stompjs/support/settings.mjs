// Where the node under test is, and what its settings file (tests/clients/footfall.toml) and these tests agree on.

import { randomBytes } from 'node:crypto';

/** The node under test, such as http://127.0.0.1:18080. */
export const nodeUrl = demanded('FOOTFALL_URL', 'the base URL of a running node, such as http://127.0.0.1:18080').replace(/\/$/, '');

/** The HS256 key of the node under test. */
export const secret = process.env.FOOTFALL_SECRET ?? 'test-secret-of-at-least-32-bytes-long!';

/** The cookie in which the node looks for a token. */
export const cookieName = process.env.FOOTFALL_COOKIE ?? 'footfall_token';

/** The one origin whose pages may connect. */
export const allowedOrigin = 'https://chat.example.com';

/** The heart-beat of the test node, both ways. */
export const heartBeat = 500;

/** Five times what the slowest usual answer may take; whoever waits longer waits for something that will not come. */
export const DEADLINE = 5_000;

/** What must be in the environment, or a sentence instead of a stack of failures. */
export function demanded(name, meaning) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set; these tests need ${meaning}.`);
  }
  return value;
}

/** The WebSocket endpoint of a node. */
export function endpoint(base = nodeUrl) {
  return `${base.replace(/^http/, 'ws')}/ws`;
}

/** A name that no earlier run on the same data has used. */
export function fresh(name) {
  return `${name}-${randomBytes(4).toString('hex')}`;
}
