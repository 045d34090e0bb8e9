// People with a frontend: a stock stompjs client each, and the tokens that their login gave them.

import { Client } from '@stomp/stompjs';
import { createHmac } from 'node:crypto';
import WebSocket from 'ws';
import { NODE, secret, url } from './cluster.mjs';
import { until } from './until.mjs';

/** Close codes after which coming back ends the same way; docs/errors.md has all of them. */
const FOR_GOOD = [1002, 1008];
const COMES_BACK_AFTER_MS = 20;

/** What a login gives: a token of this very second. */
export function logIn(user, roles = []) {
  const now = seconds();
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, roles, iat: now, exp: now + 600 })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** The time in which tokens count. */
export function seconds() {
  return Math.floor(Date.now() / 1000);
}

/**
 * Opens the frontend of a user, and does not wait. It connects through nginx, over and over until it is sent to the wanted
 * node (to any, without one). It comes back whenever its connection is lost, but not after a close that is for good, unless
 * it is `stubborn`.
 */
export function open(t, user, { node, token = logIn(user), stubborn = false } = {}) {
  const person = { user, node: null, client: null, connects: 0, errors: [], closes: [] };
  const client = new Client({
    webSocketFactory: () => socketTo(node, (name) => {
      person.node = name;
      person.connects += 1;
    }),
    connectHeaders: { Authorization: `Bearer ${token}` },
    reconnectDelay: COMES_BACK_AFTER_MS,
    onStompError: ({ headers }) => person.errors.push({ ...headers, node: person.node }),
    onWebSocketClose: ({ code }) => {
      if (person.node === null) return;
      person.closes.push({ code, at: performance.now() });
      person.node = null;
      if (FOR_GOOD.includes(code) && !stubborn) client.deactivate();
    },
  });
  person.client = client;
  t.after(() => client.deactivate({ force: true }));
  client.activate();
  return person;
}

/** The same, and waits for CONNECTED. */
export async function connect(t, user, options) {
  const person = open(t, user, options);
  await until(`${user} is connected`, () => alive(person).client.connected);
  return person;
}

/** A WebSocket that ends before it has begun if it is not to this node. */
function socketTo(node, arrived) {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, ['v12.stomp', 'v11.stomp', 'v10.stomp']);
  socket.on('upgrade', ({ headers: { [NODE]: name } }) => {
    if (node === undefined || name === node) arrived(name);
    else socket.terminate();
  });
  return socket;
}

/** SUBSCRIBEs, and waits for the RECEIPT, which says that the subscription is live. */
export async function subscribe(person, destination, headers = {}) {
  const inbox = { person, destination, messages: [], receipt: null };
  inbox.receipt = await receipt(person, (id) => {
    person.client.subscribe(destination, (message) => inbox.messages.push(message), { ...headers, receipt: id });
  });
  return inbox;
}

/** SENDs, and waits for the RECEIPT, which says that the message can't be lost any more. */
export function send(person, destination, body) {
  return receipt(person, (id) => person.client.publish({ destination, body, headers: { receipt: id } }));
}

/** Waits until so many messages are in an inbox; all that are there then. */
export async function heard(inbox, count) {
  const { person, messages, destination } = inbox;
  await until(`${person.user} has ${count} messages of ${destination}`, () => alive(person) && messages.length >= count);
  return messages.map(({ headers, body }) => ({ sender: headers.sender, body, position: headers.position }));
}

/** Waits until a connection has ended: the code of its ERROR, the close code, and when that was. */
export async function putOut(person) {
  const { code: close, at } = await until(`${person.user} is put out`, () => person.closes[0]);
  return { error: person.errors[0]?.code, receipt: person.errors[0]?.['receipt-id'], close, at };
}

let receipts = 0;

async function receipt(person, act) {
  const id = `receipt-${receipts++}`;
  let answer;
  alive(person).client.watchForReceipt(id, ({ headers }) => (answer = headers));
  act(id);
  return await until(`a RECEIPT for ${person.user}`, () => alive(person) && answer);
}

/** Whoever waits for something hears of an ERROR or a close instead. */
function alive(person) {
  const [error, close] = [person.errors[0], person.closes[0]];
  if (error) throw new Error(`${person.user} got ERROR ${error.code}: ${error.message}`);
  if (close) throw new Error(`The connection of ${person.user} was closed with ${close.code}`);
  return person;
}
