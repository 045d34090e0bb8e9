// /user/queue/…: all sessions of one user, and nobody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, connectedHeaders, nextBodies, nextMessage, refusal, send, subscribe } from './support/client.mjs';
import { fresh } from './support/settings.mjs';

test("SEND to a user reaches all of the user's sessions and no other", async (t) => {
  const [alice, bob, carol] = [fresh('alice'), fresh('bob'), fresh('carol')];
  const sender = await connect(t, alice);
  const others = [sender, await connect(t, carol)];
  const tabs = [await connect(t, bob), await connect(t, bob)];
  const [bobs, strangers] = await Promise.all([tabs, others].map((all) => Promise.all(all.map((one) => subscribe(one, '/user/queue/notes')))));
  await send(sender, `/user/${bob}/queue/notes`, 'for bob');
  await send(sender, `/user/${alice}/queue/notes`, 'fence');
  await send(sender, `/user/${carol}/queue/notes`, 'fence');
  for (const inbox of bobs) {
    const { body, headers } = await nextMessage(inbox);
    assert.equal(body, 'for bob');
    assert.equal(headers.destination, '/user/queue/notes');
    assert.equal(headers.sender, alice);
  }
  for (const inbox of strangers) assert.deepEqual(await nextBodies(inbox, 1), ['fence']);
});

test("one's own other sessions get it too, unlike Spring's", async (t) => {
  const bob = fresh('bob');
  const tabs = [await connect(t, bob), await connect(t, bob)];
  const inboxes = await Promise.all(tabs.map((tab) => subscribe(tab, '/user/queue/notes')));
  await send(tabs[0], `/user/${bob}/queue/notes`, 'note to self');
  for (const inbox of inboxes) assert.deepEqual(await nextBodies(inbox, 1), ['note to self']);
});

test('a user who is not here is no error', async (t) => {
  const session = await connect(t, fresh('alice'));
  await send(session, `/user/${fresh('nobody')}/queue/notes`, 'hello?');
});

test('queues of other names are other queues', async (t) => {
  const bob = fresh('bob');
  const session = await connect(t, bob);
  const [notes, alarms] = [await subscribe(session, '/user/queue/notes'), await subscribe(session, '/user/queue/alarms')];
  await send(session, `/user/${bob}/queue/alarms`, 'fire');
  await send(session, `/user/${bob}/queue/notes`, 'milk');
  assert.deepEqual(await nextBodies(notes, 1), ['milk']);
  assert.deepEqual(await nextBodies(alarms, 1), ['fire']);
});

const NOT_YOURS = /^(subscribe-denied|unknown-destination|bad-destination|pattern-denied)$/;

for (const [what, destination] of [
  ["another user's queue by name", ({ alice }) => `/user/${alice}/queue/notes`],
  ["one's own queue by name", ({ bob }) => `/user/${bob}/queue/notes`],
  ['the name that Spring gives it inside', ({ session }) => `/queue/notes-user${session}`],
  ['all queues', () => '/queue/*'],
  ['all users', () => '/user/*/queue/notes'],
  ['all of it', () => '/user/**'],
]) {
  test(`SUBSCRIBE to ${what} is refused`, async (t) => {
    const alice = fresh('alice');
    const victim = await connect(t, alice);
    const inbox = await subscribe(victim, '/user/queue/notes');
    const bob = await connect(t, fresh('bob'));
    const caught = [];
    bob.client.subscribe(destination({ alice, bob: bob.user, session: connectedHeaders(victim).session }), (message) => caught.push(message));
    const { code, close } = await refusal(bob);
    assert.match(code, NOT_YOURS);
    assert.equal(close, 1008);
    await send(victim, `/user/${alice}/queue/notes`, 'private');
    assert.deepEqual(await nextBodies(inbox, 1), ['private']);
    assert.equal(caught.length, 0);
  });
}
