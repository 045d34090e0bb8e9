// `history` and `after`: what was missed comes first, once, and then everything live.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VERSIONS, connect, nextBodies, nextMessage, publish, refusal, send, subscribe } from './support/client.mjs';
import { fresh } from './support/settings.mjs';

const FOREIGN = '0123456789abcdef:5';

async function sendAll(session, room, bodies) {
  for (const body of bodies) await send(session, room, body);
}

function numbers(from, to) {
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);
}

test('history: N gives the newest N, oldest first, then what is live', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  await sendAll(session, room, numbers(1, 5));
  const inbox = await subscribe(session, room, { history: '3' });
  assert.equal(inbox.receipt.recovered, 'true');
  await send(session, room, 'live');
  assert.deepEqual(await nextBodies(inbox, 4), ['3', '4', '5', 'live']);
});

test('history: N of a room with fewer messages gives them all, and of an empty one none', async (t) => {
  const [room, empty] = [`/topic/rooms.${fresh('room')}`, `/topic/rooms.${fresh('room')}`];
  const session = await connect(t, fresh('alice'));
  await sendAll(session, room, numbers(1, 2));
  const inbox = await subscribe(session, room, { history: '100' });
  const none = await subscribe(session, empty, { history: '100' });
  assert.equal(none.receipt.recovered, 'true');
  await send(session, room, 'live');
  await send(session, empty, 'first');
  assert.deepEqual(await nextBodies(inbox, 3), ['1', '2', 'live']);
  assert.deepEqual(await nextBodies(none, 1), ['first']);
});

for (const version of VERSIONS) {
  test(`after: P gives exactly what came after P, in ${version}`, async (t) => {
    const room = `/topic/rooms.${fresh('room')}`;
    const session = await connect(t, fresh('alice'), { version });
    const first = await subscribe(session, room);
    await sendAll(session, room, numbers(1, 6));
    await nextBodies(first, 2);
    // As this version shows it; what stompjs did not unescape it will not escape either.
    const { position } = (await nextMessage(first)).headers;
    const resumed = await subscribe(session, room, { after: position });
    assert.equal(resumed.receipt.recovered, 'true');
    await send(session, room, '7');
    assert.deepEqual(await nextBodies(resumed, 4), ['4', '5', '6', '7']);
  });
}

test('after: the position of a RECEIPT, also of an empty room', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const { receipt } = await subscribe(session, room);
  const atHead = await subscribe(session, room, { after: receipt.position });
  assert.equal(atHead.receipt.recovered, 'true');
  await sendAll(session, room, numbers(1, 3));
  const behind = await subscribe(session, room, { after: receipt.position });
  assert.deepEqual(await nextBodies(atHead, 3), ['1', '2', '3']);
  assert.deepEqual(await nextBodies(behind, 3), ['1', '2', '3']);
});

test('after: P while the room is busy: nothing is lost and nothing comes twice', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const senders = await Promise.all(Array.from({ length: 4 }, () => connect(t, fresh('sender'))));
  const observer = await connect(t, fresh('alice'));
  const live = await subscribe(observer, room);
  await Promise.all(senders.map((session) => sendAll(session, room, numbers(1, 20))));
  await nextBodies(live, 10);
  const { position } = (await nextMessage(live)).headers;
  const sending = Promise.all(senders.map((session) => sendAll(session, room, numbers(21, 50))));
  const resumed = [];
  for (let number = 0; number < 8; number++) resumed.push(await subscribe(observer, room, { after: position }));
  await sending;
  await nextBodies(live, 200 - 11);
  const all = live.messages.map(({ headers }) => headers.position);
  for (const inbox of resumed) {
    assert.equal(inbox.receipt.recovered, 'true');
    await nextBodies(inbox, 200 - 11);
    const positions = inbox.messages.map(({ headers }) => headers.position);
    assert.deepEqual(positions, all.slice(11));
  }
});

test('after: a position of another epoch is not recovered, and the subscription is live', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  await sendAll(session, room, numbers(1, 3));
  const inbox = await subscribe(session, room, { after: FOREIGN });
  assert.equal(inbox.receipt.recovered, 'false');
  assert.match(inbox.receipt.position, /:3$/);
  await send(session, room, 'live');
  assert.deepEqual(await nextBodies(inbox, 1), ['live']);
});

test('after: a position that is still to come is not recovered', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const { receipt } = await subscribe(session, room);
  const ahead = receipt.position.replace(/:0$/, ':99');
  assert.equal((await subscribe(session, room, { after: ahead })).receipt.recovered, 'false');
});

test('after without a receipt, not recoverable: position-lost', async (t) => {
  const session = await connect(t, fresh('alice'));
  session.client.subscribe(`/topic/rooms.${fresh('room')}`, () => {}, { after: FOREIGN });
  const { code, close } = await refusal(session);
  assert.equal(code, 'position-lost');
  assert.equal(close, 1012);
});

for (const headers of [{ history: '3' }, { after: FOREIGN }]) {
  const [name] = Object.keys(headers);
  test(`${name} of a transient destination: no-history`, async (t) => {
    const session = await connect(t, fresh('alice'));
    session.client.subscribe(`/topic/typing.${fresh('room')}`, () => {}, headers);
    assert.equal((await refusal(session)).code, 'no-history');
  });

  test(`${name} of a pattern: pattern-without-history`, async (t) => {
    const session = await connect(t, fresh('alice'));
    session.client.subscribe('/topic/wild.*', () => {}, headers);
    assert.equal((await refusal(session)).code, 'pattern-without-history');
  });
}

test('what has a receipt is in the history of whoever asks next', async (t) => {
  const [alice, bob] = [await connect(t, fresh('alice')), await connect(t, fresh('bob'))];
  for (let round = 0; round < 20; round++) {
    const room = `/topic/rooms.${fresh('room')}`;
    publish(alice, room, 'one');
    await send(alice, room, 'two');
    const inbox = await subscribe(bob, room, { history: '10' });
    assert.deepEqual(await nextBodies(inbox, 2), ['one', 'two']);
  }
});
