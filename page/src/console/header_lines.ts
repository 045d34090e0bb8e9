// `name: value` lines, as people type them.

import type { StompHeaders } from '@stomp/stompjs';

export function parseHeaderLines(text: string): StompHeaders {
  const headers: StompHeaders = {};
  for (const line of text.split('\n')) {
    if (!line.trim()) continue;
    const colon = line.indexOf(':');
    if (colon < 1) throw new Error(`"${line.trim()}" is no header. Write name: value.`);
    headers[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  return headers;
}
