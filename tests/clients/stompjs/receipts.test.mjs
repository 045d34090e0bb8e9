// A receipt for every frame a client sends, and what comes after UNSUBSCRIBE and DISCONNECT.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, nextBodies, nextMessage, receipted, send, subscribe, until } from './support/client.mjs';
import { closed, connectRaw, frame, receiptFor } from './support/raw.mjs';
import { fresh } from './support/settings.mjs';

const POSITION = /^[0-9a-f]{16}:\d+$/;

test('SEND', async (t) => {
  const session = await connect(t, fresh('alice'));
  const receipt = await send(session, `/topic/rooms.${fresh('room')}`, 'hello');
  assert.equal(receipt.command, 'RECEIPT');
});

test('SENDs are answered in their order', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const order = [];
  await Promise.all(Array.from({ length: 50 }, (_, number) => send(session, room, `${number}`).then(() => order.push(number))));
  assert.deepEqual(order, Array.from({ length: 50 }, (_, number) => number));
});

test('SUBSCRIBE, with the position from which it is live', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const empty = await subscribe(session, room);
  assert.match(empty.receipt.position, POSITION);
  assert.match(empty.receipt.position, /:0$/);
  await send(session, room, 'one');
  const { position } = (await nextMessage(empty)).headers;
  const later = await subscribe(session, room);
  assert.equal(later.receipt.position, position);
});

test('UNSUBSCRIBE, after which nothing comes', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const [ended, kept] = [await subscribe(session, room), await subscribe(session, room)];
  await send(session, room, 'before');
  await nextBodies(ended, 1);
  const unhandled = [];
  session.client.onUnhandledMessage = (message) => unhandled.push(message);
  await receipted(session, (receipt) => ended.subscription.unsubscribe({ receipt }));
  await send(session, room, 'after');
  assert.deepEqual(await nextBodies(kept, 2), ['before', 'after']);
  assert.equal(ended.messages.length, 1);
  assert.equal(unhandled.length, 0);
});

test('UNSUBSCRIBE of an id that nobody has is harmless', async (t) => {
  const session = await connect(t, fresh('alice'));
  session.client.unsubscribe('nobody');
  await receipted(session, (receipt) => session.client.unsubscribe('nobody', { receipt }));
  await send(session, `/topic/rooms.${fresh('room')}`, 'still here');
});

test('SUBSCRIBE twice with one id: the same destination changes nothing', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const session = await connect(t, fresh('alice'));
  const first = await subscribe(session, room, { id: 'mine' });
  const second = await subscribe(session, room, { id: 'mine' });
  await send(session, room, 'one');
  await send(session, room, 'two');
  assert.deepEqual(await nextBodies(second, 2), ['one', 'two']);
  assert.equal(first.messages.length, 0, 'stompjs knows one callback for an id');
});

test('DISCONNECT: stompjs asks for a receipt, gets it, and calls onDisconnect', async (t) => {
  const session = await connect(t, fresh('alice'));
  let disconnected = null;
  session.client.onDisconnect = (receipt) => (disconnected = receipt);
  await session.client.deactivate();
  assert.equal(disconnected?.command, 'RECEIPT');
  await until('the socket is closed', () => session.closes.length === 1);
  assert.equal(session.errors.length, 0);
});

test('DISCONNECT is answered after the SENDs before it, and what follows is ignored', async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const observer = await connect(t, fresh('alice'));
  const inbox = await subscribe(observer, room);
  const raw = await connectRaw(t, fresh('bob'));
  const frames = [
    frame('SEND', { destination: room, receipt: 'send' }, 'before'),
    frame('DISCONNECT', { receipt: 'bye' }),
    frame('SEND', { destination: room, receipt: 'late' }, 'after DISCONNECT'),
  ];
  raw.socket.send(frames.join(''));
  raw.socket.send(frame('SEND', { destination: room }, 'later still'));
  await receiptFor(raw, 'bye');
  assert.equal((await closed(raw)).code, 1000);
  const answers = raw.chunks.map(({ text }) => text.match(/^(RECEIPT|ERROR)\n.*?receipt-id:(\w+)/s)?.[2]).filter(Boolean);
  assert.deepEqual(answers, ['send', 'bye']);
  await send(observer, room, 'fence');
  assert.deepEqual(await nextBodies(inbox, 2), ['before', 'fence']);
});

test('DISCONNECT without a receipt is a plain close', async (t) => {
  const raw = await connectRaw(t, fresh('alice'));
  raw.socket.send(frame('DISCONNECT'));
  assert.equal((await closed(raw)).code, 1000);
  assert.ok(!raw.chunks.some(({ text }) => text.startsWith('ERROR')));
});
