// What is known of one room: its messages in the broker's order, and our own that are still on their way.
// Pure: no connection, no DOM.

import { isAtOrBefore, type Position } from './position';

/** Enough to scroll back through; a room may run for weeks. */
const KEPT = 1_000;

export interface Message {
  kind: 'message';
  id: string;
  sender: string;
  /** The sender's tab, if it says so, to tell one's own tabs apart. */
  tab: string;
  at: number;
  text: string;
  /** Whether `text` is something else than plain text, and shown as it is. */
  raw: boolean;
  position: Position | undefined;
  clientId: string | undefined;
}

/** Between what we had and what could be had again, messages may be missing. */
export interface Gap {
  kind: 'gap';
  id: string;
}

export interface Outgoing {
  kind: 'outgoing';
  /** Also the idempotency key, so a retry is stored once however often it is sent. */
  clientId: string;
  text: string;
  at: number;
  state: 'pending' | 'stored' | 'failed';
  /** Given to this session's socket and not answered yet. */
  sent: boolean;
  reason: string;
}

export type Arrival = 'new' | 'known';

export class Room {
  readonly messages: (Message | Gap)[] = [];
  outgoing: Outgoing[] = [];
  /** Where to go on after a loss. */
  last: Position | undefined;
  unread = 0;
  /** `history` and `after` are answered: what comes now is live. */
  joined = false;
  denied: string | undefined;

  readonly #known = new Set<string>();
  #bridging: { lastKnown: string | undefined } | undefined;

  constructor(readonly name: string) {}

  arrive(message: Message): Arrival {
    if (this.#bridging?.lastKnown === message.id) this.#bridging = undefined;
    const { position } = message;
    const known = this.#known.has(message.id) || (position && this.last && isAtOrBefore(position, this.last));
    if (position && !(this.last && isAtOrBefore(position, this.last))) this.last = position;
    if (known) return 'known';
    this.#closeBridge();
    this.#known.add(message.id);
    this.messages.push(message);
    this.outgoing = this.outgoing.filter(({ clientId }) => clientId !== message.clientId);
    for (const dropped of this.messages.splice(0, this.messages.length - KEPT)) this.#known.delete(dropped.id);
    return 'new';
  }

  /** The RECEIPT of SUBSCRIBE. */
  join(position: Position | undefined): void {
    this.joined = true;
    this.denied = undefined;
    this.#closeBridge();
    if (position && !(this.last && isAtOrBefore(position, this.last))) this.last = position;
  }

  leave(): void {
    this.joined = false;
    for (const outgoing of this.outgoing) outgoing.sent = false;
  }

  /** Our position is of no use any more. What the history brings joins what we have, or a gap stands between. */
  startOver(): void {
    const newest = this.messages.at(-1);
    this.#bridging = newest ? { lastKnown: newest.id } : undefined;
    this.last = undefined;
    this.joined = false;
    // What is stored comes with the history, or lies in the gap.
    this.outgoing = this.outgoing.filter(({ state }) => state !== 'stored');
  }

  #closeBridge(): void {
    if (!this.#bridging) return;
    this.#bridging = undefined;
    if (this.messages.at(-1)?.kind !== 'gap') this.messages.push({ kind: 'gap', id: `gap-${this.messages.length}-${Date.now()}` });
  }
}
