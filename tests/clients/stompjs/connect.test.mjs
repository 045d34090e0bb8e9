// CONNECT: who is let in, what CONNECTED says, and how others are turned away.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VERSIONS, connect, connectedHeaders, open, refusal, send, until } from './support/client.mjs';
import { handshakeStatus } from './support/raw.mjs';
import { allowedOrigin, cookieName, fresh, heartBeat } from './support/settings.mjs';
import { token } from './support/token.mjs';

test('a token in the Authorization header of CONNECT', async (t) => {
  const alice = fresh('alice');
  const session = await connect(t, alice);
  assert.equal(connectedHeaders(session)['user-name'], alice);
});

test('a token in the passcode', async (t) => {
  const alice = fresh('alice');
  const session = await connect(t, alice, { token: null, headers: { login: 'ignored', passcode: token(alice) } });
  assert.equal(connectedHeaders(session)['user-name'], alice);
});

test('a token in the Authorization header of the handshake', async (t) => {
  const alice = fresh('alice');
  const handshake = { headers: { Authorization: `Bearer ${token(alice)}` } };
  const session = await connect(t, alice, { token: null, handshake });
  assert.equal(connectedHeaders(session)['user-name'], alice);
});

test('a token in the cookie, with an allowed Origin', async (t) => {
  const alice = fresh('alice');
  const handshake = { origin: allowedOrigin, headers: { Cookie: `theme=dark; ${cookieName}=${token(alice)}` } };
  const session = await connect(t, alice, { token: null, handshake });
  assert.equal(connectedHeaders(session)['user-name'], alice);
});

test('a cookie without an Origin lets nobody in', async (t) => {
  const handshake = { headers: { Cookie: `${cookieName}=${token(fresh('alice'))}` } };
  if ((await handshakeStatus(handshake)) === 403) return;
  const session = open(t, 'alice', { token: null, handshake });
  const { close } = await refusal(session);
  assert.equal(close, 1008);
  assert.equal(session.connected.length, 0);
});

test('CONNECT wins over the handshake', async (t) => {
  const [alice, bob] = [fresh('alice'), fresh('bob')];
  const session = await connect(t, alice, { handshake: { headers: { Authorization: `Bearer ${token(bob)}` } } });
  assert.equal(connectedHeaders(session)['user-name'], alice);
});

test('CONNECTED has user-name, session, heart-beat, version and server', async (t) => {
  const [first, second] = [await connect(t, fresh('alice')), await connect(t, fresh('bob'))];
  const headers = connectedHeaders(first);
  assert.equal(headers.version, '1.2');
  assert.equal(headers['heart-beat'], `${heartBeat},${heartBeat}`);
  assert.match(headers.server, /^footfall/i);
  assert.ok(headers.session);
  assert.notEqual(headers.session, connectedHeaders(second).session);
});

for (const version of VERSIONS) {
  test(`a client that only speaks ${version} is spoken to in ${version}`, async (t) => {
    const session = await connect(t, fresh('alice'), { version });
    assert.equal(session.client.connectedVersion, version);
  });
}

const refused = [
  ['no token', 'token-missing', { token: null }],
  ['a token that is none', 'token-invalid', { token: 'not.a.token' }],
  ['a token of another issuer', 'token-invalid', { token: token('alice', { key: 'another-secret-of-at-least-32-bytes-long' }) }],
  ['an unsigned token', 'token-invalid', { token: token('alice', { alg: 'none' }) }],
  ['an expired token', 'token-expired', { token: token('alice', { expiresIn: -3600 }) }],
  [
    'a bad token, whatever good one comes elsewhere',
    'token-invalid',
    { token: 'not.a.token', headers: { passcode: token('alice') }, handshake: { headers: { Authorization: `Bearer ${token('alice')}` } } },
  ],
];

for (const [what, expected, options] of refused) {
  test(`${what} is refused with ${expected}`, async (t) => {
    const session = open(t, 'alice', options);
    const { code, message, close } = await refusal(session);
    assert.equal(code, expected);
    assert.ok(message);
    assert.equal(close, 1008);
    assert.equal(session.connected.length, 0);
  });
}

test('a session ends when its token expires', async (t) => {
  const session = await connect(t, fresh('alice'), { token: token(fresh('alice'), { expiresIn: 3 }) });
  const expires = (Math.floor(Date.now() / 1000) + 2) * 1000;
  await send(session, `/topic/typing.${fresh('room')}`, 'while it is good');
  const { code, close } = await refusal(session, 15_000);
  assert.equal(code, 'token-expired');
  assert.equal(close, 1008);
  assert.ok(Date.now() >= expires - 1000, 'not long before its time');
});

test('a page of the allowed origin may connect', async () => {
  assert.equal(await handshakeStatus({ origin: allowedOrigin }), 101);
});

const foreign = [
  'https://evil.example',
  'null',
  `${allowedOrigin}.evil.example`,
  `https://evil${allowedOrigin.slice('https://'.length)}`,
  allowedOrigin.replace('https', 'http'),
  `${allowedOrigin}:444`,
];

for (const origin of foreign) {
  test(`a page of the origin ${origin} gets status 403`, async () => {
    assert.equal(await handshakeStatus({ origin, headers: { Authorization: `Bearer ${token('alice')}` } }), 403);
  });
}

test('twenty sessions of one user live side by side', async (t) => {
  const alice = fresh('alice');
  const sessions = await Promise.all(Array.from({ length: 20 }, () => connect(t, alice)));
  assert.equal(new Set(sessions.map((session) => connectedHeaders(session).session)).size, 20);
  await until('all are still connected', () => sessions.every((session) => session.client.connected));
});
