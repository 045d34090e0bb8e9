// JWTs, good and bad ones, signed here: the node must take what any issuer with its key makes.

import { createHmac } from 'node:crypto';
import { secret } from './settings.mjs';

/** A token for a user. `claims` adds to or replaces the usual claims; `key` signs it instead of the node's. */
export function token(user, { roles = ['USER'], expiresIn = 600, claims = {}, key = secret, alg = 'HS256' } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { sub: user, roles, iat: now, exp: now + expiresIn, ...claims };
  const signed = `${part({ alg, typ: 'JWT' })}.${part(payload)}`;
  return `${signed}.${alg === 'none' ? '' : createHmac('sha256', key).update(signed).digest('base64url')}`;
}

function part(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
