// What a chat must survive: its node is killed and comes back, or stops in good order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, open, publish, receipted, send, subscribe, until } from './support/client.mjs';
import { exited, killNode, restartNode, startNode } from './support/node.mjs';
import { fresh } from './support/settings.mjs';

/** The node has to start, and the client to come back. */
const RECOVERY = 60_000;

test('kill -9 and restart: every message sent with a receipt arrives exactly once, in order', async (t) => {
  const node = await startNode(t);
  const room = `/topic/rooms.${fresh('room')}`;
  const total = 80;
  const reader = resumingReader(t, node, room);
  await until('the reader is live', () => reader.position !== null, RECOVERY);
  const writer = retryingWriter(t, node, room, total);

  for (const killAt of [total / 4, total / 2]) {
    await until(`${killAt} receipts`, () => writer.receipts >= killAt, RECOVERY);
    await killNode(node);
    await restartNode(node);
  }
  await until('every message has its receipt', () => writer.receipts === total, RECOVERY);
  await until('every message has arrived', () => reader.bodies.length >= total, RECOVERY);
  assert.deepEqual(reader.bodies, Array.from({ length: total }, (_, number) => `${number}`));
  assert.ok(reader.session.connected.length >= 3, 'it reconnected');
  assert.deepEqual(reader.recovered.slice(1), reader.recovered.slice(1).map(() => 'true'));

  // Nothing more comes, and the store agrees.
  const checker = await connect(t, fresh('checker'), { base: node.base });
  const history = await subscribe(checker, room, { history: '1000' });
  await send(checker, room, 'fence');
  await until('the fence', () => history.messages.at(-1)?.body === 'fence' && reader.bodies.at(-1) === 'fence');
  assert.deepEqual(history.messages.map(({ body }) => body), reader.bodies);
});

/** Subscribes on each CONNECTED, after the last position it has seen. */
function resumingReader(t, node, room) {
  const reader = { session: null, position: null, bodies: [], recovered: [] };
  const onConnect = async (session) => {
    const take = (message) => {
      reader.bodies.push(message.body);
      reader.position = message.headers.position;
    };
    const after = reader.position === null ? {} : { after: reader.position };
    const frame = await receipted(session, (receipt) => session.client.subscribe(room, take, { ...after, receipt })).catch(() => null);
    // Killed before it was answered: the next CONNECTED tries again.
    if (frame === null) return;
    reader.position ??= frame.headers.position;
    reader.recovered.push(frame.headers.recovered);
  };
  reader.session = open(t, fresh('reader'), { base: node.base, client: { reconnectDelay: 100 }, onConnect });
  return reader;
}

/**
 * Sends numbered messages, at most five ahead of their receipts; on each CONNECTED, again what has no receipt, and a few
 * that have one: a client can't tell whether a lost receipt was sent.
 */
function retryingWriter(t, node, room, total) {
  const writer = { session: null, receipts: 0 };
  let sent = 0;
  const more = (session) => {
    while (sent < total && sent < writer.receipts + 5) {
      const number = sent++;
      session.client.watchForReceipt(`w-${number}`, () => {
        assert.equal(number, writer.receipts, 'receipts come in order');
        writer.receipts += 1;
        more(session);
      });
      publish(session, room, `${number}`, { receipt: `w-${number}`, 'idempotency-key': `key-${number}` });
    }
  };
  const onConnect = (session) => {
    sent = writer.receipts;
    for (let number = Math.max(0, sent - 3); number < sent; number++) {
      publish(session, room, `${number}`, { 'idempotency-key': `key-${number}` });
    }
    more(session);
  };
  writer.session = open(t, fresh('writer'), { base: node.base, client: { reconnectDelay: 100 }, onConnect });
  return writer;
}

test('positions stay good over a restart', async (t) => {
  const node = await startNode(t);
  const room = `/topic/rooms.${fresh('room')}`;
  const before = await connect(t, fresh('alice'), { base: node.base });
  const { receipt } = await subscribe(before, room);
  await send(before, room, 'one');
  await send(before, room, 'two');
  await killNode(node);
  await restartNode(node);
  const after = await connect(t, fresh('alice'), { base: node.base });
  const inbox = await subscribe(after, room, { after: receipt.position });
  assert.equal(inbox.receipt.recovered, 'true');
  await send(after, room, 'three');
  await until('all three', () => inbox.messages.length >= 3);
  assert.deepEqual(inbox.messages.map(({ body }) => body), ['one', 'two', 'three']);
});

test('SIGTERM: every client is told to reconnect, and the node ends with 0', async (t) => {
  const node = await startNode(t);
  const sessions = await Promise.all(['a', 'b', 'c'].map((name) => connect(t, fresh(name), { base: node.base })));
  await send(sessions[0], `/topic/rooms.${fresh('room')}`, 'hello');
  node.process.kill('SIGTERM');
  for (const session of sessions) {
    await until(`${session.user} is closed`, () => session.closes.length > 0, RECOVERY);
    assert.equal(session.closes[0].code, 1012);
  }
  assert.deepEqual(await exited(node, RECOVERY), { code: 0, signal: null });
});
