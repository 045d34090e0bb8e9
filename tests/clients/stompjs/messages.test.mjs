// SEND and MESSAGE: what arrives, in every version, with which headers and bodies.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VERSIONS, connect, connectedHeaders, nextBodies, nextMessage, publish, refusal, send, subscribe } from './support/client.mjs';
import { fresh } from './support/settings.mjs';

/** No backslash before r, n or c, because stompjs itself reads that wrong. */
const HARD = 'C:\\dir\nä€😀';

for (const version of VERSIONS) {
  test(`subscribe, send, receive in ${version}`, async (t) => {
    const room = `/topic/rooms.${fresh('room')}`;
    const session = await connect(t, fresh('alice'), { version });
    const inbox = await subscribe(session, room);
    await send(session, room, 'grüß dich', { 'content-type': 'text/plain;charset=UTF-8', 'x-own': 'ä€😀' });
    const { body, headers } = await nextMessage(inbox);
    assert.equal(body, 'grüß dich');
    assert.equal(headers.destination, room);
    assert.equal(headers.subscription, inbox.subscription.id);
    assert.equal(headers['content-type'], 'text/plain;charset=UTF-8');
    assert.equal(headers['content-length'], '11');
    assert.equal(headers['x-own'], 'ä€😀');
    assert.equal(headers.sender, session.user);
    assert.match(headers.timestamp, /^\d{13}$/);
    assert.ok(headers['message-id']);
    assert.ok(headers.position);
  });
}

test('colons, line feeds and backslashes in a header survive from 1.2 to 1.2', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, room);
  await send(session, room, '', { 'x-hard': HARD });
  assert.equal((await nextMessage(inbox)).headers['x-hard'], HARD);
});

test('1.1 knows the same escapes, though stompjs leaves them to the application there', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const old = await connect(t, fresh('alice'), { version: '1.1' });
  const current = await connect(t, fresh('bob'));
  const [oldInbox, inbox] = [await subscribe(old, room), await subscribe(current, room)];
  const escaped = HARD.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/:/g, '\\c');
  await send(old, room, '', { 'x-hard': escaped });
  assert.equal((await nextMessage(oldInbox)).headers['x-hard'], escaped);
  assert.equal((await nextMessage(inbox)).headers['x-hard'], HARD);
});

test('1.0 has no escapes: colons and backslashes pass as they are, a line feed leaves its header out', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const oldest = await connect(t, fresh('alice'), { version: '1.0' });
  const current = await connect(t, fresh('bob'));
  const [oldestInbox, inbox] = [await subscribe(oldest, room), await subscribe(current, room)];
  await send(oldest, room, 'one', { 'x-path': 'C:\\dir' });
  assert.equal((await nextMessage(oldestInbox)).headers['x-path'], 'C:\\dir');
  assert.equal((await nextMessage(inbox)).headers['x-path'], 'C:\\dir');
  await send(current, room, 'two', { 'x-lines': 'a\nb', 'x-path': 'C:\\dir' });
  const { body, headers } = await nextMessage(oldestInbox);
  assert.equal(body, 'two');
  assert.equal(headers['x-path'], 'C:\\dir');
  assert.equal(headers['x-lines'], undefined);
  assert.equal((await nextMessage(inbox)).headers['x-lines'], 'a\nb');
});

test('who sends need not subscribe', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const [alice, bob] = [await connect(t, fresh('alice')), await connect(t, fresh('bob'))];
  const inbox = await subscribe(bob, room);
  await send(alice, room, 'hello');
  publish(alice, room, 'without a receipt');
  assert.deepEqual(await nextBodies(inbox, 2), ['hello', 'without a receipt']);
});

test('two subscriptions of one session get a message each', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const [first, second] = [await subscribe(session, room), await subscribe(session, room)];
  await send(session, room, 'twice');
  assert.equal((await nextMessage(first)).headers.subscription, first.subscription.id);
  assert.equal((await nextMessage(second)).headers.subscription, second.subscription.id);
});

test('a transient destination delivers, and has no positions', async (t) => {
  const room = `/topic/typing.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, room);
  await send(session, room, '…');
  const { body, headers } = await nextMessage(inbox);
  assert.equal(body, '…');
  assert.equal(headers.position, undefined);
});

test("a client knows its own messages by sender-session, and those of the same user elsewhere are not its own", async (t) => {
  const [room, alice] = [`/topic/rooms.${fresh('room')}`, fresh('alice')];
  // No cookies here, so each is a browser of its own.
  const [client, other] = [await connect(t, alice), await connect(t, alice)];
  const inbox = await subscribe(client, room);
  await send(client, room, 'mine');
  await send(other, room, 'of elsewhere');
  const [mine, others] = [await nextMessage(inbox), await nextMessage(inbox)];
  assert.equal(mine.headers['sender-session'], connectedHeaders(client)['sender-session']);
  assert.equal(others.headers['sender-session'], connectedHeaders(other)['sender-session']);
  assert.notEqual(mine.headers['sender-session'], others.headers['sender-session']);
  assert.deepEqual([mine.headers.sender, others.headers.sender], [alice, alice]);
});

test("what footfall says of a message can't be said by its sender, and secrets stay out", async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, room);
  const forged = { sender: 'root', 'sender-session': 'x', timestamp: '1', position: '1:1', 'message-id': 'x', subscription: 'x' };
  await send(session, room, '', { ...forged, Authorization: 'Bearer x', passcode: 'x', login: 'x', 'x-fine': 'kept' });
  const { headers } = await nextMessage(inbox);
  assert.equal(headers['x-fine'], 'kept');
  for (const [name, value] of Object.entries(forged)) assert.notEqual(headers[name], value, name);
  for (const name of ['Authorization', 'passcode', 'login', 'receipt']) assert.equal(headers[name], undefined, name);
});

test('a binary body with NULs comes back byte for byte', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, room);
  const bytes = Uint8Array.from({ length: 1024 }, (_, index) => index % 256);
  await send(session, room, bytes, { 'content-type': 'application/octet-stream' });
  await send(session, room, new Uint8Array([0, 0, 0]));
  assert.deepEqual(new Uint8Array((await nextMessage(inbox)).binaryBody), bytes);
  assert.deepEqual(new Uint8Array((await nextMessage(inbox)).binaryBody), new Uint8Array([0, 0, 0]));
});

test('an empty body', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, room);
  await send(session, room, '');
  assert.equal((await nextMessage(inbox)).body, '');
});

for (const [what, client] of [
  ['in one WebSocket message', {}],
  ['split by stompjs', { splitLargeFrames: true, maxWebSocketChunkSize: 8 * 1024 }],
  ['as a binary WebSocket message', { forceBinaryWSFrames: true }],
]) {
  test(`a frame just under 64 KiB, ${what}`, async (t) => {
    const room = `/topic/rooms.${fresh('room')}`;
    const session = await connect(t, fresh('alice'), { client });
    const inbox = await subscribe(session, room);
    const body = 'x'.repeat(64 * 1024 - 512);
    await send(session, room, body);
    await send(session, room, 'small again');
    assert.equal((await nextMessage(inbox)).body, body);
    assert.equal((await nextMessage(inbox)).body, 'small again');
  });

  test(`a frame over 64 KiB is refused, ${what}`, async (t) => {
    const session = await connect(t, fresh('alice'), { client });
    publish(session, `/topic/rooms.${fresh('room')}`, 'x'.repeat(64 * 1024 + 1));
    const { code, close } = await refusal(session);
    assert.equal(code, 'frame-too-large');
    assert.equal(close, 1002);
  });
}

test('a message sent twice with one idempotency-key is stored and delivered once', async (t) => {
  const [room, alice] = [`/topic/rooms.${fresh('room')}`, fresh('alice')];
  const [session, again] = [await connect(t, alice), await connect(t, alice)];
  const inbox = await subscribe(session, room);
  await send(session, room, 'once', { 'idempotency-key': 'key-1' });
  await send(session, room, 'once', { 'idempotency-key': 'key-1' });
  await send(again, room, 'once', { 'idempotency-key': 'key-1' });
  await send(session, room, 'last', { 'idempotency-key': 'key-2' });
  assert.deepEqual(await nextBodies(inbox, 2), ['once', 'last']);
  const history = await subscribe(session, room, { history: '10' });
  await send(session, room, 'after history');
  assert.deepEqual(await nextBodies(history, 3), ['once', 'last', 'after history']);
});

test('an idempotency-key is its sender’s own', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const [alice, bob] = [await connect(t, fresh('alice')), await connect(t, fresh('bob'))];
  const inbox = await subscribe(alice, room);
  await send(alice, room, "alice's", { 'idempotency-key': 'key' });
  await send(bob, room, "bob's", { 'idempotency-key': 'key' });
  assert.deepEqual(await nextBodies(inbox, 2), ["alice's", "bob's"]);
});

test('/app/chat/{room} goes to /topic/rooms.{room}', async (t) => {
  const room = fresh('room');
  const session = await connect(t, fresh('alice'));
  const inbox = await subscribe(session, `/topic/rooms.${room}`);
  await send(session, `/app/chat/${room}`, 'through the application', { 'x-own': 'kept' });
  const { body, headers } = await nextMessage(inbox);
  assert.equal(body, 'through the application');
  assert.equal(headers.destination, `/topic/rooms.${room}`);
  assert.equal(headers['x-own'], 'kept');
});

test('twenty clients send fifty messages each into one room: all see all of them, in one order', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const sessions = await Promise.all(Array.from({ length: 20 }, () => connect(t, fresh('user'))));
  const inboxes = await Promise.all(sessions.map((session) => subscribe(session, room)));
  const sends = sessions.flatMap((session, client) =>
    Array.from({ length: 50 }, (_, number) => send(session, room, `${client}:${number}`)),
  );
  await Promise.all(sends);
  const orders = await Promise.all(inboxes.map((inbox) => nextBodies(inbox, 1000)));
  for (const order of orders) assert.deepEqual(order, orders[0]);
  assert.equal(new Set(orders[0]).size, 1000);
  for (let client = 0; client < 20; client++) {
    const own = orders[0].filter((body) => body.startsWith(`${client}:`));
    assert.deepEqual(own, Array.from({ length: 50 }, (_, number) => `${client}:${number}`), 'a connection keeps its order');
  }
  const sequences = inboxes[0].messages.map(({ headers }) => Number(headers.position.split(':')[1]));
  assert.deepEqual(sequences, Array.from({ length: 1000 }, (_, index) => index + 1), 'sequences have no holes');
});
