// A stock stompjs client with what a test needs around it: deadlines, and an ERROR that ends whatever waits.

import { Client, Versions } from '@stomp/stompjs';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { DEADLINE, endpoint } from './settings.mjs';
import { token } from './token.mjs';

export const VERSIONS = ['1.0', '1.1', '1.2'];

/** Waits until a condition gives something true, and returns that. */
export async function until(what, condition, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`Not within ${deadline} ms: ${what}.`);
    await pause(5);
  }
}

/**
 * Starts to connect and does not wait. Options:
 * `roles`, `token` (instead of one for the user; null for none), `headers` of CONNECT, `handshake` (options of the
 * WebSocket, such as `headers` and `origin`), `version` (one STOMP version), `base` (another node), `client` (stompjs
 * settings), `onConnect` (each time).
 */
export function open(t, user, options = {}) {
  const jwt = options.token === undefined ? token(user, { roles: options.roles }) : options.token;
  const session = { user, client: null, connected: [], errors: [], closes: [], waiting: new Set(), failed: null };
  const client = new Client({
    webSocketFactory: () => new WebSocket(endpoint(options.base), ['v12.stomp', 'v11.stomp', 'v10.stomp'], options.handshake ?? {}),
    connectHeaders: { ...(jwt === null ? {} : { Authorization: `Bearer ${jwt}` }), ...options.headers },
    stompVersions: new Versions(options.version ? [options.version] : ['1.2', '1.1', '1.0']),
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    onConnect: (frame) => {
      session.failed = null;
      session.connected.push(frame);
      options.onConnect?.(session);
    },
    onStompError: (frame) => {
      session.errors.push(frame);
      fail(session, new Error(`${user} got ERROR ${frame.headers.code}: ${frame.headers.message}`));
    },
    onWebSocketClose: ({ code, reason }) => {
      session.closes.push({ code, reason });
      fail(session, new Error(`The connection of ${user} was closed with ${code} ${reason}`));
    },
    ...options.client,
  });
  session.client = client;
  t.after(() => client.deactivate({ force: true }));
  client.activate();
  return session;
}

/** Connects, and waits for CONNECTED. */
export async function connect(t, user, options = {}) {
  const session = open(t, user, options);
  await until(`${user} is connected`, () => {
    if (session.failed) throw session.failed;
    return session.connected.length > 0;
  });
  return session;
}

/** The headers of the last CONNECTED. */
export function connectedHeaders(session) {
  return session.connected.at(-1).headers;
}

function fail(session, error) {
  session.failed ??= error;
  for (const { reject } of session.waiting) reject(session.failed);
  session.waiting.clear();
}

let receipts = 0;

/** Does something with a receipt id, and waits for that RECEIPT; an ERROR or a close fails it. */
export function receipted(session, act) {
  const id = `receipt-${receipts++}`;
  const answer = new Promise((resolve, reject) => {
    if (session.failed) return reject(session.failed);
    const timer = setTimeout(() => reject(new Error(`No RECEIPT ${id} for ${session.user} within ${DEADLINE} ms.`)), DEADLINE);
    const waiting = {
      reject: (error) => {
        clearTimeout(timer);
        reject(error);
      },
    };
    session.waiting.add(waiting);
    session.client.watchForReceipt(id, (frame) => {
      clearTimeout(timer);
      session.waiting.delete(waiting);
      resolve(frame);
    });
    act(id);
  });
  // Whoever sends without waiting hears of a failure elsewhere; it must not end the whole run.
  answer.catch(() => {});
  return answer;
}

/** SENDs text or bytes, and waits for the RECEIPT. */
export function send(session, destination, body, headers = {}) {
  return receipted(session, (receipt) => publish(session, destination, body, { ...headers, receipt }));
}

/** SENDs without a receipt. */
export function publish(session, destination, body, headers = {}) {
  const content = body instanceof Uint8Array ? { binaryBody: body } : { body };
  session.client.publish({ destination, headers, ...content });
}

/** SUBSCRIBEs, and waits for the RECEIPT, which says that the subscription is live. */
export async function subscribe(session, destination, headers = {}) {
  const inbox = { session, messages: [], taken: 0, subscription: null, receipt: null };
  const frame = await receipted(session, (receipt) => {
    inbox.subscription = session.client.subscribe(destination, (message) => inbox.messages.push(message), { ...headers, receipt });
  });
  inbox.receipt = frame.headers;
  return inbox;
}

/** The next message of a subscription that no call has returned yet. */
export async function nextMessage(inbox) {
  await until(`message ${inbox.taken + 1} for ${inbox.session.user}`, () => {
    if (inbox.messages.length <= inbox.taken && inbox.session.failed) throw inbox.session.failed;
    return inbox.messages.length > inbox.taken;
  });
  return inbox.messages[inbox.taken++];
}

/** The next messages of a subscription, as their bodies. */
export async function nextBodies(inbox, count) {
  const bodies = [];
  while (bodies.length < count) bodies.push((await nextMessage(inbox)).body);
  return bodies;
}

/** Waits for ERROR and close; returns the ERROR's headers and, as `close`, the close code. */
export async function refusal(session, deadline = DEADLINE) {
  await until(`${session.user} gets an ERROR`, () => session.errors.length > 0, deadline);
  await until(`the connection of ${session.user} is closed`, () => session.closes.length > 0, deadline);
  return { ...session.errors[0].headers, close: session.closes[0].code };
}
