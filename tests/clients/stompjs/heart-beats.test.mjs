// Heart-beats both ways, at the test node's 500 ms.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, send, until } from './support/client.mjs';
import { closed, connectRaw, frame, receiptFor, received } from './support/raw.mjs';
import { fresh, heartBeat } from './support/settings.mjs';

/** STOMP 1.2 lets the node wait for 2 × the interval + 1 s; five times that is the deadline. */
const SILENCE = 2 * heartBeat + 1000;

const room = () => `/topic/typing.${fresh('room')}`;

test('stompjs beats and is beaten to: the connection outlives the tolerance, and beats come within the interval', async (t) => {
  const beats = [];
  const client = {
    heartbeatIncoming: heartBeat,
    heartbeatOutgoing: heartBeat,
    onHeartbeatReceived: () => beats.push(performance.now()),
    onHeartbeatLost: () => assert.fail('stompjs missed a heart-beat'),
  };
  const session = await connect(t, fresh('alice'), { client });
  const enough = Math.ceil((SILENCE * 1.5) / heartBeat);
  await until(`${enough} heart-beats came`, () => beats.length >= enough, 5 * SILENCE);
  const gaps = beats.slice(1).map((at, index) => at - beats[index]).sort((a, b) => a - b);
  assert.ok(gaps[Math.floor(gaps.length / 2)] <= heartBeat, `usual gap ${gaps}`);
  assert.ok(gaps.at(-1) < 2 * heartBeat, `longest gap ${gaps.at(-1)}, after which stompjs gives up`);
  assert.equal(session.closes.length, 0);
  await send(session, room(), 'still here');
});

test('the first beat comes before one interval of silence is over', async (t) => {
  const raw = await connectRaw(t, fresh('alice'), { heartBeat: `0,${heartBeat}` });
  const connected = await received(raw, 'CONNECTED\n');
  const beat = await received(raw, '\n');
  // 0.8 × is the target; a busy machine gets the rest of stompjs's tolerance.
  assert.ok(beat.at - connected.at < 2 * heartBeat, `${beat.at - connected.at} ms`);
});

test('a client that promised beats and falls silent is closed; one that promised none is not', async (t) => {
  const quiet = await connectRaw(t, fresh('alice'), { heartBeat: '0,0' });
  const silent = await connectRaw(t, fresh('bob'), { heartBeat: `${heartBeat},0` });
  const promised = performance.now();
  const { at, code } = await closed(silent, 5 * SILENCE);
  assert.equal(code, 1012);
  assert.ok(at - promised >= heartBeat, `closed after ${at - promised} ms`);
  assert.ok(silent.chunks.some(({ text }) => text.startsWith('ERROR\n') && text.includes('\ncode:heart-beat-lost\n')));
  quiet.socket.send(frame('SEND', { destination: room(), receipt: 'here' }));
  await receiptFor(quiet, 'here');
  assert.equal(quiet.close, null);
});

test('frames count as signs of life', async (t) => {
  const raw = await connectRaw(t, fresh('alice'), { heartBeat: `${heartBeat},0` });
  const [start, destination] = [performance.now(), room()];
  for (let number = 0; performance.now() - start < 1.5 * SILENCE; number++) {
    raw.socket.send(frame('SEND', { destination, receipt: `${number}` }));
    await receiptFor(raw, number);
    const next = performance.now() + heartBeat / 2;
    await until('half an interval is over', () => performance.now() >= next);
  }
  assert.equal(raw.close, null);
});

test('a client that wants no beats gets none', async (t) => {
  const listening = await connectRaw(t, fresh('alice'), { heartBeat: `0,${heartBeat}` });
  const deaf = await connectRaw(t, fresh('bob'), { heartBeat: '0,0' });
  await until('others got four', () => listening.chunks.filter(({ text }) => text === '\n').length >= 4, 5 * SILENCE);
  assert.ok(!deaf.chunks.some(({ text }) => text === '\n'));
});
