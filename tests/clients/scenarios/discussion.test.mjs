// Scenario S1, a discussion: people on three nodes talk, are kept out, log out, are told what they missed, and notice
// nothing of what others write into Kafka. What each step needs of the settings stands in deploy/footfall.toml.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import * as cluster from './support/cluster.mjs';
import { BROADCAST, EVENTS, deadLetters, poison } from './support/kafka.mjs';
import { connect, heard, logIn, open, putOut, seconds, send, subscribe } from './support/people.mjs';
import { until } from './support/until.mjs';

/** What was said in an earlier run on the same cluster is elsewhere. */
const RUN = randomBytes(4).toString('hex');
const ROOM = `/topic/rooms.discussion-${RUN}`;
const STAFF_ROOM = `/topic/staff.discussion-${RUN}`;
const IVAN = `ivan-${RUN}`;
const STEP = { timeout: 20_000 };

const nodes = await cluster.nodes(3);
const [one, two, three] = nodes;

after(() => cluster.leave());

test('1. what two people say is heard on all nodes, once and in one order, and is one row each', STEP, async (t) => {
  const readers = await eachOnANode(t, ['carol', 'dave', 'erin']);
  const inboxes = await Promise.all(readers.map((reader) => subscribe(reader, ROOM)));
  const alice = await connect(t, 'alice', { node: one });
  const bob = await connect(t, 'bob', { node: two });

  const said = (person) => Array.from({ length: 24 }, (_, number) => `${person.user} ${number + 1}`);
  await Promise.all([alice, bob].flatMap((person) => said(person).map((body) => send(person, ROOM, body))));
  const carol = readers[0];
  await send(carol, ROOM, 'good night');

  const [first, ...others] = await Promise.all(inboxes.map((inbox) => heard(inbox, 49)));
  assert.equal(first.at(-1).body, 'good night', 'nothing came twice');
  for (const other of others) assert.deepEqual(other, first, 'the same, in the same order');
  assert.deepEqual(first.map(sequence), numbers(1, 49), 'each has its number');
  for (const person of [alice, bob]) {
    const own = first.filter(({ sender }) => sender === person.user);
    assert.deepEqual(own.map(({ body }) => body), said(person), `all that ${person.user} said, as it was said`);
  }
  const rows = await cluster.rows(ROOM);
  assert.deepEqual(
    rows.map(({ sequence, sender, body }) => [sequence, sender, body]),
    first.map((message) => [sequence(message), message.sender, message.body]),
    'the database has what was heard, a row each',
  );
});

test('2. who is not allowed hears nothing, and is told so: by an ERROR, or where notices are taken, by a notice', STEP, async (t) => {
  const boss = await connect(t, 'grace', { node: one, token: logIn('grace', ['STAFF']) });
  const staff = await subscribe(boss, STAFF_ROOM);

  // Without a place for notices a refusal ends the connection, and the frontend stays away.
  const mallory = await connect(t, 'mallory', { node: two });
  mallory.client.subscribe(STAFF_ROOM, () => assert.fail('mallory heard it'), { receipt: 'staff' });
  const { error, receipt, close } = await putOut(mallory);
  assert.deepEqual({ error, receipt, close }, { error: 'subscribe-denied', receipt: 'staff', close: 1008 });
  assert.equal(mallory.client.active, false);

  // With one it is a notice, and the connection lives. On the node of someone who may, so that what one hears there the
  // other had the chance to.
  const trent = await connect(t, 'trent', { node: one });
  const [notices, room] = [await subscribe(trent, '/user/queue/errors'), await subscribe(trent, ROOM)];
  trent.client.subscribe(STAFF_ROOM, () => assert.fail('trent heard it'), { receipt: 'staff' });
  await heard(notices, 1);
  const { code, 'receipt-id': about } = notices.messages[0].headers;
  assert.deepEqual({ code, about }, { code: 'subscribe-denied', about: 'staff' });

  await send(boss, STAFF_ROOM, 'not for everyone');
  assert.deepEqual((await heard(staff, 1)).map(({ body }) => body), ['not for everyone']);
  await send(trent, ROOM, 'still here');
  assert.equal((await heard(room, 1)).at(-1).body, 'still here');
  assert.equal(notices.messages.length, 1);
});

test('3. whoever logs out is logged out everywhere, within 2 s, and can come back with a new token only', STEP, async (t) => {
  const token = logIn('frank');
  const tabs = [await connect(t, 'frank', { node: one, token }), await connect(t, 'frank', { node: two, token })];
  const bystander = await connect(t, 'heidi', { node: two });

  const began = performance.now();
  assert.equal(await cluster.order('POST', '/users/frank/logout'), 204);
  const loggedOut = seconds();
  for (const tab of tabs) {
    const { error, close, at } = await putOut(tab);
    assert.deepEqual({ error, close }, { error: 'token-revoked', close: 1008 });
    t.diagnostic(`put out of ${tab.errors[0].node} after ${(at - began).toFixed(0)} ms`);
    assert.ok(at - began < 2_000, 'within 2 s');
  }
  for (const node of nodes) {
    const again = open(t, 'frank', { node, token });
    const { error, close } = await putOut(again);
    assert.deepEqual({ error, close, on: again.errors[0].node }, { error: 'token-revoked', close: 1008, on: node });
  }

  // A frontend that does not heed 1008 comes back for ever. Ours had the same time and did not.
  const stubborn = open(t, 'frank', { token, stubborn: true });
  await until('the stubborn one was refused 5 times', () => stubborn.errors.length >= 5);
  for (const tab of tabs) assert.deepEqual([tab.client.active, tab.connects, tab.errors.length], [false, 1, 1]);

  // Tokens count seconds: one of this very second could still be an old one.
  await until('the next second', () => seconds() > loggedOut);
  const back = await connect(t, 'frank', { node: three, token: logIn('frank') });
  const room = await subscribe(back, ROOM);
  await send(bystander, ROOM, 'welcome back');
  assert.equal((await heard(room, 1))[0].body, 'welcome back');
});

test('4. a notice waits for a user who is away, and is there when they come to another node', STEP, async (t) => {
  const before = await connect(t, IVAN, { node: one });
  await subscribe(before, '/user/queue/notices');
  await before.client.deactivate();

  const judy = await connect(t, 'judy', { node: two });
  await send(judy, `/user/${IVAN}/queue/notices`, 'you were missed');
  const [row] = await until('it is stored', async () => {
    const rows = await cluster.rows(`/user/${IVAN}/queue/notices`);
    return rows.length > 0 && rows;
  });
  assert.deepEqual({ ...row }, { sequence: 1, sender: 'judy', body: 'you were missed' });

  const ivan = await connect(t, IVAN, { node: three });
  const notices = await subscribe(ivan, '/user/queue/notices', { history: '10' });
  assert.equal(notices.receipt.recovered, 'true');
  assert.equal(notices.messages.length, 1, 'it came before the subscription was live');
  assert.equal(notices.messages[0].headers.destination, '/user/queue/notices');
  assert.deepEqual((await heard(notices, 1)).map(({ sender, body }) => [sender, body]), [['judy', 'you were missed']]);

  // Nobody else's.
  const other = await subscribe(await connect(t, 'mike', { node: three }), '/user/queue/notices', { history: '10' });
  assert.equal(other.messages.length, 0);
});

test('5. a record that nobody can read stops nobody, on either topic; who looks for it finds it with its reason', STEP, async (t) => {
  const letters = await deadLetters(t);
  const people = await eachOnANode(t, ['nina', 'oscar', 'peggy']);
  const inboxes = await Promise.all(people.map((person) => subscribe(person, ROOM)));
  await send(people[0], ROOM, 'before');
  await Promise.all(inboxes.map((inbox) => heard(inbox, 1)));

  // Where the room's own messages lie, so that they have to pass it.
  const [event, broadcast] = [await poison(t, EVENTS, ROOM), await poison(t, BROADCAST, ROOM)];
  const partition = await cluster.partitionOf(ROOM);
  assert.deepEqual([event.partition, broadcast.partition], [partition, partition]);

  for (const person of people) await send(person, ROOM, `${person.user} goes on`);
  for (const inbox of inboxes) {
    const bodies = (await heard(inbox, 4)).map(({ body }) => body);
    assert.deepEqual(bodies, ['before', ...people.map(({ user }) => `${user} goes on`)]);
  }
  // What can't be stored is put away. What can't be told was stored before, so nodes only pass it over.
  const letter = await until('the dead letter is there', () => letters.find(({ key }) => key === ROOM));
  assert.deepEqual(letter.place, event);
  assert.match(letter.reason, /ce_specversion/);
  assert.equal(letter.value, 'no CloudEvent');
});

function eachOnANode(t, users) {
  return Promise.all(users.map((user, index) => connect(t, user, { node: nodes[index] })));
}

/** The number of a message, as its position has it. */
function sequence({ position }) {
  return Number(position?.split(':')[1]);
}

function numbers(from, to) {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
