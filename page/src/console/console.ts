// The STOMP console: a connection of its own that does what it is told, once, and shows what happened. It never
// reconnects by itself.

import { ActivationState, Client, TickerStrategy, Versions, type IFrame } from '@stomp/stompjs';
import { webSocketUrl, type Config } from '../config';
import { byId, element, formError } from '../dom';
import { cleanToken, fetchDevelopmentToken } from '../token';
import { FrameLog } from './frame_log';
import { parseHeaderLines } from './header_lines';
import { observedSocket, unescaped, type Direction, type RawFrame } from './observed_socket';
import { Subscriptions } from './subscriptions';

const SUGGESTED = ['/topic/rooms.lobby', '/topic/typing.lobby', '/app/chat/lobby', '/user/queue/errors', '/user/queue/notices', '/user/alice/queue/notices'];

type State = 'closed' | 'connecting' | 'connected';
type FormName = 'connect' | 'subscribe' | 'send';

export class Console {
  #client: Client | undefined;
  #nextId = 0;
  readonly #log = new FrameLog();
  readonly #subscriptions = new Subscriptions((id) => {
    this.#client?.unsubscribe(id);
    this.#subscriptions.remove(id);
  });
  readonly #url = byId<HTMLInputElement>('console-url');
  readonly #version = byId<HTMLSelectElement>('console-version');
  readonly #token = byId<HTMLInputElement>('console-token');
  readonly #user = byId<HTMLInputElement>('console-user');
  readonly #pill = byId('console-pill');
  readonly #forms: Record<FormName, HTMLElement> = { connect: byId('console-connect'), subscribe: byId('console-subscribe'), send: byId('console-send') };

  constructor(config: Config) {
    this.#url.value = webSocketUrl(config.endpoint);
    this.#pill.append(element('span', { className: 'dot', aria: { hidden: 'true' } }), element('span', { className: 'pill-text' }));
    byId('destinations').append(...SUGGESTED.map((value) => element('option', { value })));
    this.#on('connect', () => this.#connect());
    this.#on('subscribe', () => this.#subscribe());
    this.#on('send', () => this.#send());
    byId('console-disconnect').addEventListener('click', () => this.#disconnect());
    if (config.development) {
      byId('console-dev-token').hidden = false;
      this.#user.value = new URLSearchParams(location.search).get('user') ?? localStorage.getItem('footfall.name') ?? 'alice';
      byId('console-get-token').addEventListener('click', () => void this.#getToken());
      byId('tab-console').addEventListener('click', () => this.#token.value || void this.#getToken());
      if (location.hash === '#console') void this.#getToken();
    }
    this.#show('closed');
  }

  /** A form's submit; what is wrong with its input stands below it. */
  #on(name: FormName, action: () => void): void {
    const form = this.#forms[name];
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      formError(form, '');
      try {
        action();
      } catch (error) {
        formError(form, error instanceof Error ? error.message : String(error));
      }
    });
  }

  async #getToken(): Promise<void> {
    try {
      this.#token.value = await fetchDevelopmentToken(this.#user.value.trim() || 'alice');
      formError(this.#forms.connect, '');
    } catch (error) {
      formError(this.#forms.connect, error instanceof Error ? error.message : String(error));
    }
  }

  #connect(): void {
    const versions = new Versions(this.#version.value.split(','));
    const token = cleanToken(this.#token.value);
    const url = this.#url.value.trim();
    const client = new Client({
      webSocketFactory: () =>
        observedSocket(url, versions.protocolVersions(), {
          onFrame: (direction, frame) => this.#onFrame(client, direction, frame),
          onHeartBeat: (direction) => this.#log.heartBeat(direction),
          onEvent: (text) => this.#log.event(text),
        }),
      stompVersions: versions,
      connectHeaders: token ? { Authorization: `Bearer ${token}` } : {},
      heartbeatOutgoing: byId<HTMLInputElement>('console-beat-out').valueAsNumber || 0,
      heartbeatIncoming: byId<HTMLInputElement>('console-beat-in').valueAsNumber || 0,
      heartbeatStrategy: TickerStrategy.Worker,
      reconnectDelay: 0,
      onConnect: ({ headers }: IFrame) => this.#show('connected', headers['user-name']),
      onWebSocketClose: () => {
        this.#client = undefined;
        this.#subscriptions.clear();
        this.#show('closed');
      },
    });
    // The factory runs later, inside stompjs, where its exception would be lost.
    if (!/^wss?:$/.test(new URL(url).protocol)) throw new Error('The endpoint begins with ws:// or wss://.');
    this.#client = client;
    this.#log.event(`connecting to ${url}`);
    this.#show('connecting');
    client.activate();
  }

  /** The first time with DISCONNECT and its receipt; if that does not come, the second time at once. */
  #disconnect(): void {
    void this.#client?.deactivate({ force: this.#client.state !== ActivationState.ACTIVE });
  }

  #subscribe(): void {
    const destination = byId<HTMLInputElement>('console-sub-destination').value.trim();
    const id = byId<HTMLInputElement>('console-sub-id').value.trim() || `sub-${this.#nextId++}`;
    const ack = byId<HTMLSelectElement>('console-sub-ack').value;
    const extra = parseHeaderLines(byId<HTMLTextAreaElement>('console-sub-headers').value);
    this.#client?.subscribe(destination, () => this.#subscriptions.received(id), { ...extra, id, ack });
    this.#subscriptions.add({ id, destination, ack });
  }

  #send(): void {
    const headers = parseHeaderLines(byId<HTMLTextAreaElement>('console-send-headers').value);
    if (byId<HTMLInputElement>('console-send-receipt').checked) headers['receipt'] ??= `send-${this.#nextId++}`;
    this.#client?.publish({
      destination: byId<HTMLInputElement>('console-send-destination').value.trim(),
      headers,
      body: byId<HTMLTextAreaElement>('console-send-body').value,
    });
  }

  #onFrame(client: Client, direction: Direction, frame: RawFrame): void {
    // stompjs escapes in 1.2 only. CONNECT and CONNECTED never are, and come before the version is known.
    const escaped = client.connectedVersion === Versions.V1_2 && frame.command !== 'CONNECTED';
    const header = (wanted: string) => {
      const value = frame.headers.find(([name]) => name === wanted)?.[1];
      return escaped && value !== undefined ? unescaped(value) : value;
    };
    const subscription = frame.command === 'MESSAGE' ? this.#subscriptions.get(header('subscription')) : undefined;
    // 1.2 acknowledges by the `ack` header, the older versions by `message-id`.
    const id = client.connectedVersion === Versions.V1_2 ? header('ack') : header('message-id');
    const acknowledge = subscription && subscription.ack !== 'auto' && id !== undefined ? (kind: 'ack' | 'nack') => this.#client?.[kind](id, subscription.id) : undefined;
    this.#log.frame(direction, frame, escaped, acknowledge);
  }

  #show(state: State, user = ''): void {
    this.#pill.hidden = false;
    this.#pill.dataset['state'] = state;
    this.#pill.querySelector('.pill-text')!.textContent = { closed: 'Not connected', connecting: 'Connecting…', connected: `Connected${user ? ` as ${user}` : ''}` }[state];
    for (const button of this.#forms.connect.querySelectorAll<HTMLButtonElement>('[data-testid=console-connect]')) button.disabled = state !== 'closed';
    byId<HTMLButtonElement>('console-disconnect').disabled = state === 'closed';
    for (const form of [this.#forms.subscribe, this.#forms.send]) for (const button of form.querySelectorAll('button')) button.disabled = state !== 'connected';
  }
}
