// Who may subscribe and send, and what a refusal looks like: an ERROR and a close, or a notice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, nextBodies, nextMessage, publish, refusal, send, subscribe } from './support/client.mjs';
import { fresh } from './support/settings.mjs';

/** Each with a receipt, so that the refusal must name it. */
const refused = [
  ['SUBSCRIBE without the role', 'subscribe-denied', (s) => s.client.subscribe(`/topic/vip.${fresh('x')}`, () => {}, { receipt: 'r' })],
  ['SEND without the role', 'send-denied', (s) => publish(s, `/topic/vip.${fresh('x')}`, 'hello', { receipt: 'r' })],
  ['SEND where nobody may send', 'send-denied', (s) => publish(s, '/topic/readonly.x', 'hello', { receipt: 'r' })],
  ['SEND past the application', 'send-denied', (s) => publish(s, '/topic/board.x', 'hello', { receipt: 'r' })],
  ['SUBSCRIBE where no policy is', 'unknown-destination', (s) => s.client.subscribe('/topic/nowhere', () => {}, { receipt: 'r' })],
  ['SEND where no policy is', 'unknown-destination', (s) => publish(s, '/topic/nowhere', 'hello', { receipt: 'r' })],
  ['SEND to an application that is not there', 'unknown-destination', (s) => publish(s, '/app/nowhere', 'hello', { receipt: 'r' })],
  ['SUBSCRIBE to an application that is not there', 'unknown-destination', (s) => s.client.subscribe('/app/nowhere', () => {}, { receipt: 'r' })],
  ['a wildcard where none is allowed', 'pattern-denied', (s) => s.client.subscribe('/topic/rooms.*', () => {}, { receipt: 'r' })],
];

for (const [what, expected, act] of refused) {
  test(`${what}: ${expected}`, async (t) => {
    const session = await connect(t, fresh('alice'));
    act(session);
    const { code, message, close, 'receipt-id': receipt } = await refusal(session);
    assert.equal(code, expected);
    assert.ok(message);
    assert.equal(receipt, 'r');
    assert.equal(close, 1008);
  });
}

for (const pattern of ['/**', '/topic/**', '/topic/*', '/topic/wild.**']) {
  test(`a wildcard that reaches beyond its policy, ${pattern}, is refused`, async (t) => {
    const session = await connect(t, fresh('alice'));
    session.client.subscribe(pattern, () => {});
    const { code, close } = await refusal(session);
    assert.match(code, /^(pattern-denied|unknown-destination|bad-destination|subscribe-denied)$/);
    assert.equal(close, 1008);
  });
}

test('with the role, both are allowed', async (t) => {
  const room = `/topic/vip.${fresh('room')}`;
  const session = await connect(t, fresh('alice'), { roles: ['USER', 'VIP'] });
  const inbox = await subscribe(session, room);
  await send(session, room, 'champagne');
  assert.deepEqual(await nextBodies(inbox, 1), ['champagne']);
});

test('reading is allowed where sending is not', async (t) => {
  const session = await connect(t, fresh('alice'));
  await subscribe(session, `/topic/readonly.${fresh('x')}`);
});

test('the application may send where its clients may not', async (t) => {
  const room = fresh('room');
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, `/topic/board.${room}`);
  await send(session, `/app/board/${room}`, 'a line');
  const { body, headers } = await nextMessage(inbox);
  assert.equal(body, 'a line');
  assert.equal(headers.destination, `/topic/board.${room}`);
});

test('a wildcard where it is allowed: messages show their real destination', async (t) => {
  const [first, second] = [fresh('first'), fresh('second')];
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, '/topic/wild.*');
  await send(session, `/topic/wild.${first}`, 'one');
  await send(session, `/topic/wild.${second}`, 'two');
  const seen = new Map();
  // Between destinations no order is promised, and others may use the pattern too.
  while (seen.size < 2) {
    const { body, headers } = await nextMessage(inbox);
    if ([first, second].some((room) => headers.destination.endsWith(room))) seen.set(headers.destination, body);
  }
  assert.equal(seen.get(`/topic/wild.${first}`), 'one');
  assert.equal(seen.get(`/topic/wild.${second}`), 'two');
});

test('a refusal can be a notice on /user/queue/errors, and the connection lives', async (t) => {
  const [room, quiet] = [`/topic/rooms.${fresh('room')}`, `/topic/quiet.${fresh('x')}`];
  const session = await connect(t, fresh('alice'));
  const other = await connect(t, session.user);
  const [errors, otherErrors] = [await subscribe(session, '/user/queue/errors'), await subscribe(other, '/user/queue/errors')];
  session.client.subscribe(quiet, () => {}, { receipt: 'subscribe' });
  publish(session, quiet, 'hello', { receipt: 'send' });
  const notices = [await nextMessage(errors), await nextMessage(errors)].map(({ headers }) => headers);
  assert.deepEqual(
    notices.map((headers) => [headers['receipt-id'], headers.code]),
    [
      ['subscribe', 'subscribe-denied'],
      ['send', 'send-denied'],
    ],
  );
  for (const { destination } of notices) assert.equal(destination, '/user/queue/errors');
  const inbox = await subscribe(session, room);
  await send(session, room, 'alive');
  assert.deepEqual(await nextBodies(inbox, 1), ['alive']);
  await send(other, room, 'the other tab was not told');
  assert.equal(otherErrors.messages.length, 0);
  assert.equal(session.errors.length, 0);
});

test('without a subscription to /user/queue/errors a refusal is an ERROR, even where notices are on', async (t) => {
  const session = await connect(t, fresh('alice'));
  publish(session, `/topic/quiet.${fresh('x')}`, 'hello');
  const { code, close } = await refusal(session);
  assert.equal(code, 'send-denied');
  assert.equal(close, 1008);
});

test('other sessions do not notice a refusal', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const [alice, bob] = [await connect(t, fresh('alice')), await connect(t, fresh('bob'))];
  const inbox = await subscribe(bob, room);
  publish(alice, '/topic/readonly.x', 'hello');
  await refusal(alice);
  await send(bob, room, 'still here');
  assert.deepEqual(await nextBodies(inbox, 1), ['still here']);
});
