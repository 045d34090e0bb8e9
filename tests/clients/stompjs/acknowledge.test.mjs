// The ack modes, with stompjs's own message.ack() and message.nack().

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VERSIONS, connect, nextBodies, nextMessage, receipted, refusal, send, subscribe } from './support/client.mjs';
import { fresh } from './support/settings.mjs';

for (const version of VERSIONS) {
  test(`ack auto in ${version}: nothing to acknowledge`, async (t) => {
    const room = `/topic/rooms.${fresh('room')}`;
    const session = await connect(t, fresh('alice'), { version });
    const inbox = await subscribe(session, room, { ack: 'auto' });
    await send(session, room, 'one');
    assert.equal((await nextMessage(inbox)).headers.ack, undefined);
  });

  for (const ack of ['client', 'client-individual']) {
    test(`ack ${ack} in ${version}: every message can be acknowledged, also twice, with a receipt`, async (t) => {
      const room = `/topic/rooms.${fresh('room')}`;
      const session = await connect(t, fresh('alice'), { version });
      const inbox = await subscribe(session, room, { ack });
      for (const body of ['one', 'two', 'three']) await send(session, room, body);
      const messages = [await nextMessage(inbox), await nextMessage(inbox), await nextMessage(inbox)];
      assert.deepEqual(messages.map(({ body }) => body), ['one', 'two', 'three'], 'nobody waits for an ACK');
      if (version === '1.2') assert.equal(new Set(messages.map(({ headers }) => headers.ack)).size, 3);
      await receipted(session, (receipt) => messages[2].ack({ receipt }));
      // Cumulative or not: what was acknowledged before, or along with a later one, is ignored.
      await receipted(session, (receipt) => messages[0].ack({ receipt }));
      await receipted(session, (receipt) => messages[2].ack({ receipt }));
      await send(session, room, 'four');
      assert.deepEqual(await nextBodies(inbox, 1), ['four']);
    });

    if (version === '1.0') continue; // It has no NACK.
    test(`nack with ack ${ack} in ${version}: taken, and nothing comes again`, async (t) => {
      const room = `/topic/rooms.${fresh('room')}`;
      const session = await connect(t, fresh('alice'), { version });
      const inbox = await subscribe(session, room, { ack });
      await send(session, room, 'one');
      const message = await nextMessage(inbox);
      await receipted(session, (receipt) => message.nack({ receipt }));
      await send(session, room, 'two');
      assert.deepEqual(await nextBodies(inbox, 1), ['two']);
    });
  }
}

test('an ACK of what this session was never given is refused', async (t) => {
  const session = await connect(t, fresh('alice'));
  session.client.ack('never-given', 'sub-0');
  const { code, close } = await refusal(session);
  assert.equal(code, 'unknown-ack');
  assert.equal(close, 1002);
});

test("another session's ack id is worth nothing", async (t) => {
  const room = `/topic/rooms.${fresh('room')}`;
  const [alice, bob] = [await connect(t, fresh('alice')), await connect(t, fresh('bob'))];
  const inbox = await subscribe(alice, room, { ack: 'client-individual' });
  await send(alice, room, 'one');
  const message = await nextMessage(inbox);
  bob.client.ack(message.headers.ack, inbox.subscription.id);
  assert.equal((await refusal(bob)).code, 'unknown-ack');
  await receipted(alice, (receipt) => message.ack({ receipt }));
});
