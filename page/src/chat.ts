// The chat: which rooms are joined, what is sent, what arrives. It keeps the rooms right over every loss of the
// connection, and tells the views when something changed.

import type { IFrame } from '@stomp/stompjs';
import { Connection, type Answer, type ConnectionState, type Refusal } from './connection';
import { MY_ERRORS, MY_NOTICES, chatDestination, roomDestination, typingDestination } from './destinations';
import { newId } from './ids';
import { formatPosition, parsePosition } from './position';
import { Room, type Message, type Outgoing } from './room';
import { TAB } from './tab';
import { TypingOut } from './typing';

const HISTORY = '50';
/** The broker answers a SEND within nine seconds, one way or the other. */
const ANSWER_MS = 12_000;
const SUBSCRIBE_AGAIN_MS = 3_000;
/** A SUBSCRIBE refused with one of these is refused again. */
const FINAL = /-denied$|^unknown-destination$/;

export interface ChatEvents {
  onState(state: ConnectionState): void;
  onHeartBeat(): void;
  onRoom(room: Room): void;
  onRooms(): void;
  onTyping(room: string, user: string, typing: boolean): void;
  onNotice(sender: string, text: string): void;
  onError(refusal: Refusal): void;
}

export type Whose = 'tab' | 'user' | 'other';

export class Chat {
  readonly rooms = new Map<string, Room>();
  current: Room | undefined;
  user = '';

  readonly #connection: Connection;
  readonly #typing = new TypingOut((room, typing) => this.#sendTyping(room, typing));
  /** Each SUBSCRIBE gets an id of its own, so that nothing of an earlier one can be taken for it. */
  #subscriptions = new Map<string, string>();
  #nextSubscription = 0;
  #timeouts = new Map<Outgoing, number>();

  constructor(url: string, token: () => Promise<string>, renewable: boolean, private readonly events: ChatEvents) {
    this.#connection = new Connection(url, token, renewable, {
      onState: (state) => events.onState(state),
      onSession: (user) => this.#onSession(user),
      onLost: () => this.#onLost(),
      onError: (refusal) => events.onError(refusal),
      onHeartBeat: () => events.onHeartBeat(),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  open(): void {
    this.#connection.open();
  }

  close(): void {
    this.#connection.close();
    this.#onLost();
  }

  retryNow(): void {
    this.#connection.retryNow();
  }

  join(name: string): Room {
    const known = this.rooms.get(name);
    if (known && known.denied === undefined) return known;
    const room = known ?? new Room(name);
    room.denied = undefined;
    this.rooms.set(name, room);
    if (this.#connection.connected) this.#subscribe(room);
    this.events.onRooms();
    return room;
  }

  leave(room: Room): void {
    this.rooms.delete(room.name);
    this.#unsubscribe(roomDestination(room.name));
    this.events.onRooms();
  }

  /** Typing is followed only in the room in view. */
  view(room: Room): void {
    if (this.current === room) return;
    this.#typing.stop();
    if (this.current) this.#unsubscribe(typingDestination(this.current.name));
    this.current = room;
    room.unread = 0;
    if (room.joined) this.#followTyping(room);
    this.events.onRooms();
  }

  send(room: Room, text: string): void {
    this.#typing.forget();
    const outgoing: Outgoing = { kind: 'outgoing', clientId: newId(), text, at: Date.now(), state: 'pending', sent: false, reason: '' };
    room.outgoing.push(outgoing);
    this.#flush(room);
    this.events.onRoom(room);
  }

  retry(room: Room, outgoing: Outgoing): void {
    outgoing.state = 'pending';
    outgoing.sent = false;
    this.#flush(room);
    this.events.onRoom(room);
  }

  typed(room: Room): void {
    this.#typing.typed(room.name);
  }

  whose(message: Message): Whose {
    if (message.sender !== this.user) return 'other';
    return message.tab === TAB ? 'tab' : 'user';
  }

  #onSession(user: string): void {
    this.user = user;
    this.#subscriptions.clear();
    this.#subscribeTo(MY_ERRORS, (frame) => this.#onRefusal(frame));
    this.#subscribeTo(MY_NOTICES, ({ headers, body }) => this.events.onNotice(headers['sender'] ?? 'the broker', body));
    for (const room of this.rooms.values()) if (room.denied === undefined) this.#subscribe(room);
    this.events.onRooms();
  }

  #onLost(): void {
    this.#typing.forget();
    for (const timeout of this.#timeouts.values()) clearTimeout(timeout);
    this.#timeouts.clear();
    for (const room of this.rooms.values()) {
      room.leave();
      this.events.onRoom(room);
    }
  }

  #subscribe(room: Room): void {
    const fresh = room.last === undefined;
    const headers: Record<string, string> = room.last ? { after: formatPosition(room.last) } : { history: HISTORY };
    const destination = roomDestination(room.name);
    this.#unsubscribe(destination);
    this.#subscribeTo(destination, (frame) => this.#onMessage(room, frame, fresh), headers, {
      granted: ({ headers }) => {
        if (headers['recovered'] === 'false' && !fresh) {
          room.startOver();
          return this.#subscribe(room);
        }
        room.join(parsePosition(headers['position']));
        if (room === this.current) this.#followTyping(room);
        this.#flush(room);
        this.events.onRoom(room);
      },
      refused: ({ code, sentence }) => {
        if (!FINAL.test(code)) return this.#subscribeLater(room);
        room.denied = `${sentence} (${code})`;
        this.events.onRoom(room);
        this.events.onRooms();
      },
    });
  }

  /** A store or bus that is away comes back. If the connection ends before that, the next one subscribes anyway. */
  #subscribeLater(room: Room): void {
    const destination = roomDestination(room.name);
    const id = this.#subscriptions.get(destination);
    setTimeout(() => {
      if (this.#connection.connected && this.#subscriptions.get(destination) === id) this.#subscribe(room);
    }, SUBSCRIBE_AGAIN_MS);
  }

  #subscribeTo(destination: string, onMessage: (frame: IFrame) => void, headers: Record<string, string> = {}, answer?: Answer): void {
    const id = `s${this.#nextSubscription++}`;
    this.#subscriptions.set(destination, id);
    // A MESSAGE that was on its way when we unsubscribed is not for the new subscription.
    const onlyWhileSubscribed = (frame: IFrame) => {
      if (this.#subscriptions.get(destination) === id) onMessage(frame);
    };
    this.#connection.subscribe(destination, id, onlyWhileSubscribed, headers, answer);
  }

  #unsubscribe(destination: string): void {
    const id = this.#subscriptions.get(destination);
    if (id === undefined) return;
    this.#subscriptions.delete(destination);
    this.#connection.unsubscribe(id);
  }

  #onMessage(room: Room, frame: IFrame, fresh: boolean): void {
    const message = readMessage(frame);
    // Anyone can copy a header; only the broker writes `sender`.
    if (message.sender !== this.user) message.clientId = undefined;
    const ours = room.outgoing.find(({ clientId }) => clientId === message.clientId);
    if (room.arrive(message) === 'known') return;
    if (ours) this.#answered(ours);
    if (this.whose(message) === 'other') this.events.onTyping(room.name, message.sender, false);
    const old = fresh && !room.joined;
    const seen = this.current === room && !document.hidden;
    if (!old && !seen && this.whose(message) === 'other') {
      room.unread++;
      this.events.onRooms();
    }
    this.events.onRoom(room);
  }

  #onRefusal({ headers, body }: IFrame): void {
    this.#connection.refuse(headers['receipt-id'], { code: headers['code'] ?? 'refused', sentence: headers['message'] || body || 'The broker refused a request.' });
  }

  /** In order, and only once the room is joined: then everything the history could tell about them is known. */
  #flush(room: Room): void {
    if (!room.joined) return;
    for (const outgoing of room.outgoing) {
      if (outgoing.state !== 'pending' || outgoing.sent) continue;
      outgoing.sent = true;
      const headers = { 'content-type': 'text/plain;charset=utf-8', 'client-id': outgoing.clientId, 'idempotency-key': outgoing.clientId, tab: TAB };
      const settle = (state: Outgoing['state'], reason = '') => {
        this.#answered(outgoing);
        outgoing.state = state;
        outgoing.reason = reason;
        this.events.onRoom(room);
      };
      this.#timeouts.set(outgoing, window.setTimeout(() => settle('failed', 'The broker did not answer.'), ANSWER_MS));
      this.#connection.send(chatDestination(room.name), outgoing.text, headers, {
        granted: () => settle('stored'),
        refused: ({ code, sentence }) => settle('failed', `${sentence} (${code})`),
      });
    }
  }

  #answered(outgoing: Outgoing): void {
    clearTimeout(this.#timeouts.get(outgoing));
    this.#timeouts.delete(outgoing);
  }

  #followTyping(room: Room): void {
    const destination = typingDestination(room.name);
    if (this.#subscriptions.has(destination)) return;
    this.#subscribeTo(destination, ({ headers, body }) => {
      const sender = headers['sender'] ?? '';
      if (sender !== this.user) this.events.onTyping(room.name, sender, body === 'typing');
    });
  }

  #sendTyping(room: string, typing: boolean): void {
    if (this.#connection.connected) this.#connection.send(typingDestination(room), typing ? 'typing' : 'stopped', { 'content-type': 'text/plain' });
  }
}

function readMessage(frame: IFrame): Message {
  const { headers } = frame;
  const type = headers['content-type'] ?? 'text/plain';
  const binary = type.startsWith('application/octet-stream');
  return {
    kind: 'message',
    id: headers['message-id'] ?? newId(),
    sender: headers['sender'] || 'someone',
    tab: headers['tab'] ?? '',
    at: Number(headers['timestamp']) || Date.now(),
    text: binary ? `${frame.binaryBody.length} bytes of ${type}` : frame.body,
    raw: !type.startsWith('text/plain'),
    position: parsePosition(headers['position']),
    clientId: headers['client-id'],
  };
}
