// Puts the chat on the page: what the visitor does goes to the chat, what the chat tells goes to the views.

import { dressAvatar } from './avatar';
import { Chat } from './chat';
import { webSocketUrl, type Config } from './config';
import type { ConnectionState } from './connection';
import { ConnectionPill } from './connection_pill';
import { ROOM_NAME, roomDestination } from './destinations';
import { byId, element, formError } from './dom';
import { Entry, named, withToken, type Visitor } from './entry';
import { MessageList } from './message_list';
import type { Room } from './room';
import { RoomList } from './room_list';
import { Toasts } from './toast';
import { pastedToken } from './token';
import { TypingIn } from './typing';

const LOBBY = 'lobby';
const ROOMS_KEY = 'footfall.rooms';
/** Each is subscribed at the start. */
const ROOMS_KEPT = 30;

export class ChatView {
  #chat: Chat | undefined;
  /** The room being written in, and what is half written elsewhere. */
  #drafts = new Map<Room, string>();
  readonly #entry: Entry;
  readonly #pill = new ConnectionPill(byId('chat-pill'), () => this.#chat?.retryNow());
  readonly #toasts = new Toasts(byId('toasts'));
  readonly #typing = new TypingIn(byId('typing'));
  readonly #rooms = new RoomList(byId('room-list'), (room) => this.#view(room), (room) => this.#leaveRoom(room));
  readonly #messages = new MessageList(
    byId('messages'),
    byId('scroll'),
    byId('to-newest'),
    (message) => this.#chat?.whose(message) ?? 'other',
    () => this.#chat?.user ?? '',
    (room, outgoing) => this.#chat?.retry(room, outgoing),
  );
  readonly #input = byId<HTMLTextAreaElement>('message-input');
  readonly #composer = byId<HTMLFormElement>('composer');
  readonly #banner = byId('banner');

  constructor(private readonly config: Config) {
    this.#entry = new Entry(config, (visitor) => this.#enter(visitor));
    this.#wireComposer();
    this.#wireSidebar();
    document.addEventListener('visibilitychange', () => this.#onSeen());
    const user = new URLSearchParams(location.search).get('user')?.trim();
    const token = pastedToken.get();
    if (token) this.#enter(withToken(token));
    else if (config.development && user) this.#enter(named(user));
    else this.#entry.show();
  }

  #enter(visitor: Visitor): void {
    const chat = new Chat(webSocketUrl(this.config.endpoint), visitor.token, visitor.renewable, {
      onState: (state) => this.#onState(state),
      onHeartBeat: () => this.#pill.beat(),
      onRoom: (room) => this.#onRoom(room),
      onRooms: () => this.#showRooms(),
      onTyping: (room, user, typing) => room === chat.current?.name && this.#typing.set(user, typing),
      onNotice: (sender, text) => this.#toasts.show(`Notice from ${sender}`, text, 'notice'),
      onError: ({ code, sentence }) => this.#toasts.show(code, sentence, 'error'),
    });
    this.#chat = chat;
    chat.user = visitor.name ?? '';
    this.#entry.hide();
    byId('conversation').hidden = false;
    chat.open();
    for (const name of [LOBBY, ...visitedRooms()]) chat.join(name);
    const wanted = new URLSearchParams(location.search).get('room') ?? '';
    this.#view(chat.join(ROOM_NAME.test(wanted) ? wanted : LOBBY));
    this.#input.focus();
  }

  /** Back to the first question. */
  #leave(): void {
    this.#end();
    pastedToken.forget();
    setQuery({ user: undefined });
    this.#entry.show();
  }

  #end(): void {
    this.#chat?.close();
    this.#chat = undefined;
    this.#drafts.clear();
    this.#typing.clear();
    this.#input.value = '';
    byId('conversation').hidden = true;
    document.title = 'footfall';
  }

  #onState(state: ConnectionState): void {
    this.#pill.show(state);
    if (state.name === 'refused' && state.code === 'no-token') {
      this.#end();
      return this.#entry.showToken(state.sentence);
    }
    if (state.name === 'connecting' || state.name === 'connected') this.#typing.clear();
    this.#showBanner();
  }

  #showBanner(): void {
    const chat = this.#chat;
    const state = chat?.state;
    const room = chat?.current;
    const button = (text: string, onClick: () => void) => {
      const node = element('button', { type: 'button', textContent: text });
      node.addEventListener('click', onClick);
      return node;
    };
    const content: Node[] = [];
    if (state?.name === 'refused') {
      content.push(
        element('p', {}, element('strong', { textContent: 'The broker refused this connection. ' }), `${state.sentence} (${state.code})`),
        button('Try again', () => chat?.open()),
        button(this.config.development ? 'Change name' : 'Change token', () => this.#leave()),
      );
    } else if (room?.denied !== undefined) {
      content.push(element('p', {}, element('strong', { textContent: 'You may not join this room. ' }), room.denied), button('Ask again', () => chat?.join(room.name)));
    }
    const was = this.#banner.textContent;
    // Announced when it changes, not each time anything does.
    if (was !== content.map((node) => node.textContent).join('')) this.#banner.replaceChildren(...content);
    this.#banner.hidden = content.length === 0;
    for (const field of this.#composer.querySelectorAll<HTMLButtonElement | HTMLTextAreaElement>('button, textarea')) field.disabled = room?.denied !== undefined;
  }

  #onRoom(room: Room): void {
    this.#messages.changed(room);
    if (room === this.#chat?.current) this.#showBanner();
  }

  #showRooms(): void {
    const chat = this.#chat;
    if (!chat) return;
    this.#rooms.show(chat.rooms.values(), chat.current);
    byId('my-name').textContent = chat.user;
    dressAvatar(byId('my-avatar'), chat.user);
    const elsewhere = [...chat.rooms.values()].reduce((sum, room) => sum + (room === chat.current ? 0 : room.unread), 0);
    const badge = byId('unread-elsewhere');
    badge.hidden = elsewhere === 0;
    badge.textContent = String(elsewhere);
    const unread = elsewhere + (chat.current?.unread ?? 0);
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${chat.current?.name ?? ''} · footfall`;
  }

  #view(room: Room): void {
    const chat = this.#chat;
    if (!chat) return;
    if (chat.current) this.#drafts.set(chat.current, this.#input.value);
    chat.view(room);
    this.#typing.clear();
    this.#messages.show(room);
    this.#input.value = this.#drafts.get(room) ?? '';
    this.#grow();
    byId('room-title').textContent = room.name;
    byId('room-destination').textContent = roomDestination(room.name);
    this.#input.placeholder = `Write to ${room.name}`;
    this.#showBanner();
    this.#openSidebar(false);
    localStorage.setItem(ROOMS_KEY, [...new Set([...visitedRooms(), room.name])].slice(-ROOMS_KEPT).join(' '));
    setQuery({ room: room.name, user: this.config.development && !pastedToken.get() ? chat.user : undefined });
    byId<HTMLAnchorElement>('second-tab').href = `?room=${room.name}`;
  }

  #leaveRoom(room: Room): void {
    const chat = this.#chat;
    if (!chat) return;
    localStorage.setItem(ROOMS_KEY, visitedRooms().filter((name) => name !== room.name).join(' '));
    chat.leave(room);
    this.#drafts.delete(room);
    if (chat.current === room) this.#view([...chat.rooms.values()][0]!);
    this.#drafts.delete(room);
  }

  #onSeen(): void {
    const room = this.#chat?.current;
    if (document.hidden || !room) return;
    room.unread = 0;
    this.#showRooms();
  }

  #wireComposer(): void {
    this.#composer.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#input.value.trim();
      const room = this.#chat?.current;
      if (!text || !room) return;
      this.#chat?.send(room, text);
      this.#input.value = '';
      this.#grow();
      this.#messages.goToNewest();
      this.#input.focus();
    });
    this.#input.addEventListener('input', () => {
      this.#grow();
      const room = this.#chat?.current;
      if (room && this.#input.value.trim()) this.#chat?.typed(room);
    });
    this.#input.addEventListener('keydown', (event) => {
      // Enter also ends the composition of a character in some scripts; that one is not ours.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#composer.requestSubmit();
    });
  }

  #wireSidebar(): void {
    const form = byId<HTMLFormElement>('room-form');
    const field = byId<HTMLInputElement>('room-input');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const name = field.value.trim();
      if (!ROOM_NAME.test(name)) return formError(form, 'Letters, digits, - and _ only.');
      formError(form, '');
      field.value = '';
      if (this.#chat) this.#view(this.#chat.join(name));
      this.#input.focus();
    });
    field.addEventListener('input', () => formError(form, ''));
    byId('leave').addEventListener('click', () => this.#leave());
    byId('show-rooms').addEventListener('click', () => this.#openSidebar(byId('show-rooms').ariaExpanded !== 'true'));
    byId('scrim').addEventListener('click', () => this.#openSidebar(false));
    byId('conversation').addEventListener('keydown', ({ key }) => key === 'Escape' && this.#openSidebar(false));
  }

  /** Only narrow windows have it closed. */
  #openSidebar(open: boolean): void {
    byId('sidebar').classList.toggle('open', open);
    byId('show-rooms').ariaExpanded = String(open);
  }

  #grow(): void {
    this.#input.style.setProperty('height', 'auto');
    this.#input.style.setProperty('height', `${this.#input.scrollHeight + 2}px`);
  }
}

function visitedRooms(): string[] {
  return (localStorage.getItem(ROOMS_KEY) ?? '').split(' ').filter((name) => ROOM_NAME.test(name));
}

function setQuery(values: Record<string, string | undefined>): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  history.replaceState(null, '', url);
}
