// A WebSocket that shows every frame going through it, as it is on the wire. stompjs uses it and notices nothing.

import { Parser } from '@stomp/stompjs';

export type Direction = 'in' | 'out';

export interface RawFrame {
  command: string;
  /** As they came: in order, repeated, escaped. */
  headers: [string, string][];
  body: Uint8Array;
  /** Bytes on the wire, heart-beats and WebSocket heads not counted. */
  size: number;
}

export interface SocketObserver {
  onFrame(direction: Direction, frame: RawFrame): void;
  onHeartBeat(direction: Direction): void;
  onEvent(text: string): void;
}

export function observedSocket(url: string, protocols: string[], observer: SocketObserver): WebSocket {
  const socket = new WebSocket(url, protocols);
  const send = socket.send.bind(socket);
  const outgoing = parser('out', observer);
  const incoming = parser('in', observer);
  // Added before stompjs sets its `onmessage`, so a frame is shown before what it causes.
  socket.addEventListener('open', () => observer.onEvent(`open, subprotocol ${socket.protocol || 'none'}`));
  socket.addEventListener('message', ({ data }: MessageEvent<string | ArrayBuffer>) => incoming.parseChunk(data));
  socket.addEventListener('error', () => observer.onEvent('error, the browser does not say which'));
  socket.addEventListener('close', ({ code, reason }) => observer.onEvent(`close ${code}${reason ? ` ${reason}` : ''}`));
  socket.send = (data) => {
    outgoing.parseChunk(data as string | ArrayBuffer);
    send(data);
  };
  return socket;
}

function parser(direction: Direction, observer: SocketObserver): Parser {
  return new Parser(
    ({ command, headers, binaryBody }) => {
      const body = binaryBody ?? new Uint8Array();
      observer.onFrame(direction, { command: command ?? '', headers, body, size: sizeOf(command ?? '', headers, body) });
    },
    () => observer.onHeartBeat(direction),
  );
}

function sizeOf(command: string, headers: [string, string][], body: Uint8Array): number {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  const head = headers.reduce((sum, [name, value]) => sum + bytes(name) + bytes(value) + 2, bytes(command) + 1);
  return head + 1 + body.length + 1;
}

const ESCAPES: Record<string, string> = { '\\r': '\r', '\\n': '\n', '\\c': ':', '\\\\': '\\' };

export function unescaped(text: string): string {
  return text.replace(/\\[rnc\\]/g, (escape) => ESCAPES[escape]!);
}
