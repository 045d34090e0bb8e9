// A bare WebSocket, for what stompjs would never send, and for looking at bytes and times.

import WebSocket from 'ws';
import { until } from './client.mjs';
import { endpoint } from './settings.mjs';
import { token } from './token.mjs';

/** The HTTP status that a handshake is answered with; 101 if it succeeds. */
export function handshakeStatus(options = {}) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(endpoint(), ['v12.stomp'], { handshakeTimeout: 5000, ...options });
    socket.on('open', () => {
      resolve(101);
      socket.terminate();
    });
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode);
      request.destroy();
    });
    socket.on('error', reject);
  });
}

/** Opens a WebSocket and collects what comes: `chunks` of text with their times, and `close`. */
export async function openRaw(t) {
  const raw = { socket: new WebSocket(endpoint(), ['v12.stomp']), chunks: [], close: null };
  t.after(() => raw.socket.terminate());
  raw.socket.on('message', (data) => raw.chunks.push({ text: data.toString(), at: performance.now() }));
  raw.socket.on('close', (code) => (raw.close = { code, at: performance.now() }));
  await until('the WebSocket is open', () => raw.socket.readyState === WebSocket.OPEN);
  return raw;
}

/** Opens a WebSocket and connects with these heart-beats. */
export async function connectRaw(t, user, { heartBeat = '0,0' } = {}) {
  const raw = await openRaw(t);
  raw.socket.send(frame('CONNECT', { 'accept-version': '1.2', 'heart-beat': heartBeat, Authorization: `Bearer ${token(user)}` }));
  await received(raw, 'CONNECTED\n');
  return raw;
}

/** A frame as text; nothing is escaped. */
export function frame(command, headers = {}, body = '') {
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  return `${command}\n${lines.join('')}\n${body}\0`;
}

/** The first chunk that begins with this text, once it is there. */
export function received(raw, start, deadline) {
  return until(`a frame beginning with ${JSON.stringify(start)}`, () => raw.chunks.find(({ text }) => text.startsWith(start)), deadline);
}

/** The RECEIPT with this id, once it is there. */
export function receiptFor(raw, id) {
  const line = `\nreceipt-id:${id}\n`;
  return until(`RECEIPT ${id}`, () => raw.chunks.find(({ text }) => text.startsWith('RECEIPT\n') && text.includes(line)));
}

/** Waits for the close, and returns it. */
export function closed(raw, deadline) {
  return until('the WebSocket is closed', () => raw.close, deadline);
}
