// One STOMP connection that comes back by itself. It knows the broker's close codes and the token; it knows no rooms.
//
// stompjs could reconnect on its own, but linearly or doubling without jitter, without telling when, and after a
// refusal too. So each attempt is a fresh Client with its own reconnecting switched off.

import { Client, TickerStrategy, type IFrame, type StompHeaders } from '@stomp/stompjs';
import { NoTokenHere } from './token';

/** "Do not come back": the token or the policy will not change by trying again. */
const CLOSE_REFUSED = 1008;
const CONNECT_TIMEOUT_MS = 10_000;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;
/** A connection that lived this long was a good one; the next loss starts from the first delay again. */
const SETTLED_MS = 5_000;

export type ConnectionState =
  | { name: 'idle' }
  | { name: 'connecting' }
  | { name: 'connected'; user: string; session: string; detail: string }
  | { name: 'reconnecting' | 'offline'; nextAttemptAt: number; because: string }
  | { name: 'refused'; code: string; sentence: string };

export interface Refusal {
  code: string;
  sentence: string;
}

export interface Answer {
  granted(frame: IFrame): void;
  refused(refusal: Refusal): void;
}

export interface ConnectionEvents {
  onState(state: ConnectionState): void;
  /** A new session: everything must be subscribed again. */
  onSession(user: string): void;
  onLost(): void;
  /** A refusal of nothing that waits for an answer. */
  onError(refusal: Refusal): void;
  onHeartBeat(): void;
}

export class Connection {
  #client: Client | undefined;
  #state: ConnectionState = { name: 'idle' };
  #attempts = 0;
  #timer: number | undefined;
  #settled: number | undefined;
  #lastError: Refusal | undefined;
  #unexplained = false;
  #expiredBefore = false;
  #answers = new Map<string, Answer>();
  #receipts = 0;

  constructor(
    private readonly url: string,
    /** Asked before each attempt, since a token may have expired meanwhile. */
    private readonly token: () => Promise<string>,
    /** Whether `token` gives a new one each time, so that `token-expired` is no reason to give up. */
    private readonly renewable: boolean,
    private readonly events: ConnectionEvents,
  ) {}

  get state(): ConnectionState {
    return this.#state;
  }

  get connected(): boolean {
    return this.#state.name === 'connected';
  }

  open(): void {
    addEventListener('online', this.#onNetwork);
    addEventListener('offline', this.#onNetwork);
    this.#attempts = 0;
    this.#expiredBefore = false;
    void this.#attempt();
  }

  close(): void {
    removeEventListener('online', this.#onNetwork);
    removeEventListener('offline', this.#onNetwork);
    this.#discard()?.deactivate();
    this.#enter({ name: 'idle' });
  }

  /** Cuts the waiting short. */
  retryNow(): void {
    if (this.#state.name === 'reconnecting' || this.#state.name === 'offline') void this.#attempt();
  }

  subscribe(destination: string, id: string, onMessage: (frame: IFrame) => void, headers: StompHeaders = {}, answer?: Answer): void {
    this.#client?.subscribe(destination, onMessage, { ...headers, id, ...this.#expect(answer) });
  }

  unsubscribe(id: string): void {
    if (this.connected) this.#client?.unsubscribe(id);
  }

  send(destination: string, body: string, headers: StompHeaders = {}, answer?: Answer): void {
    this.#client?.publish({ destination, body, headers: { ...headers, ...this.#expect(answer) } });
  }

  /** By ERROR, or by a MESSAGE on the errors queue with the connection alive. */
  refuse(receiptId: string | undefined, refusal: Refusal): void {
    const answer = receiptId === undefined ? undefined : this.#answers.get(receiptId);
    if (!answer) return this.events.onError(refusal);
    this.#answers.delete(receiptId!);
    answer.refused(refusal);
  }

  #expect(answer: Answer | undefined): StompHeaders {
    if (!answer) return {};
    const receipt = `r${++this.#receipts}`;
    this.#answers.set(receipt, answer);
    return { receipt };
  }

  async #attempt(): Promise<void> {
    this.#discard()?.deactivate({ force: true });
    const client = new Client({
      brokerURL: this.url,
      reconnectDelay: 0,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      // A dead network does not answer a closing handshake.
      discardWebsocketOnCommFailure: true,
      // A hidden tab's timers are throttled to one a minute, a worker's are not.
      heartbeatStrategy: TickerStrategy.Worker,
    });
    this.#client = client;
    this.#lastError = undefined;
    this.#enter({ name: 'connecting' });
    // Events of a client that was replaced meanwhile belong to nobody.
    const mine = <A extends unknown[]>(f: (...a: A) => void) => (...a: A) => {
      if (this.#client === client) f(...a);
    };
    try {
      client.connectHeaders = { Authorization: `Bearer ${await this.token()}` };
    } catch (error) {
      const sentence = error instanceof Error ? error.message : String(error);
      return mine(() => {
        if (error instanceof NoTokenHere) this.#refused({ code: 'no-token', sentence });
        else this.#wait(sentence);
      })();
    }
    client.onConnect = mine((frame: IFrame) => this.#onConnected(frame));
    client.onStompError = mine((frame: IFrame) => this.#onError(frame));
    client.onUnhandledReceipt = mine((frame: IFrame) => this.#onReceipt(frame));
    client.onHeartbeatReceived = mine(() => this.events.onHeartBeat());
    client.onWebSocketClose = mine((event: CloseEvent) => this.#onClose(event));
    mine(() => client.activate())();
  }

  #onConnected({ headers }: IFrame): void {
    const user = headers['user-name'] ?? '';
    const session = headers['session'] ?? '';
    const detail = [`STOMP ${headers['version'] ?? '1.0'}`, headers['server'], `heart-beat ${headers['heart-beat'] ?? 'none'}`, `session ${session}`].filter(Boolean).join('\n');
    this.#settled = window.setTimeout(() => {
      this.#attempts = 0;
      this.#expiredBefore = false;
    }, SETTLED_MS);
    this.#enter({ name: 'connected', user, session, detail });
    this.events.onSession(user);
  }

  #onReceipt(frame: IFrame): void {
    const id = frame.headers['receipt-id'] ?? '';
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    answer?.granted(frame);
  }

  #onError({ headers, body }: IFrame): void {
    const refusal = { code: headers['code'] ?? 'error', sentence: headers['message'] || body || 'The broker ended the connection.' };
    this.#lastError = refusal;
    const receiptId = headers['receipt-id'];
    // What answers nothing waits for the close code: it may be the reason of a refusal, which is a state.
    this.#unexplained = receiptId === undefined || !this.#answers.has(receiptId);
    if (!this.#unexplained) this.refuse(receiptId, refusal);
  }

  #onClose(event: CloseEvent): void {
    const wasConnected = this.connected;
    const error = this.#lastError;
    this.#discard();
    if (wasConnected) this.events.onLost();
    if (event.code === CLOSE_REFUSED) {
      const again = this.renewable && error?.code === 'token-expired' && !this.#expiredBefore;
      if (!again) return this.#refused(error ?? { code: '1008', sentence: event.reason || 'The broker refused the connection.' });
      this.#expiredBefore = true;
      return void this.#attempt();
    }
    if (error && this.#unexplained && wasConnected) this.events.onError(error);
    this.#wait(error?.sentence ?? (event.reason || `The connection was closed (${event.code}).`));
  }

  #wait(because: string): void {
    // Jitter, so that the clients of a node that went away do not come back in one moment.
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts++);
    const delay = ceiling / 2 + (Math.random() * ceiling) / 2;
    this.#timer = window.setTimeout(() => void this.#attempt(), delay);
    this.#enter({ name: navigator.onLine ? 'reconnecting' : 'offline', nextAttemptAt: Date.now() + delay, because });
  }

  #refused({ code, sentence }: Refusal): void {
    this.#discard();
    this.#enter({ name: 'refused', code, sentence });
  }

  #onNetwork = (): void => {
    const state = this.#state;
    if (state.name !== 'reconnecting' && state.name !== 'offline') return;
    if (navigator.onLine) return void this.#attempt();
    // Loopback works without a network, so the attempts go on.
    this.#enter({ ...state, name: 'offline' });
  };

  #discard(): Client | undefined {
    clearTimeout(this.#timer);
    clearTimeout(this.#settled);
    this.#answers.clear();
    const client = this.#client;
    this.#client = undefined;
    return client;
  }

  #enter(state: ConnectionState): void {
    this.#state = state;
    this.events.onState(state);
  }
}
