// The messages of the room in view. Nodes are kept by key and moved, never rebuilt, so a screen reader hears each
// message once and a selection survives.

import { dressAvatar } from './avatar';
import type { Whose } from './chat';
import { arrange, element } from './dom';
import { formatPosition } from './position';
import type { Message, Outgoing, Room } from './room';

/** Messages of one sender within this time stand together. */
const GROUP_MS = 5 * 60_000;
/** So near to the end, one reads along. */
const NEAR_PX = 80;
const RENDER_MS = 16;

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayWithYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });

export class MessageList {
  #room: Room | undefined;
  #nodes = new Map<string, HTMLElement>();
  #scheduled: number | undefined;
  #followed = true;

  constructor(
    private readonly list: HTMLElement,
    private readonly scroll: HTMLElement,
    private readonly toNewest: HTMLElement,
    private readonly whose: (message: Message) => Whose,
    private readonly me: () => string,
    private readonly retry: (room: Room, outgoing: Outgoing) => void,
  ) {
    scroll.addEventListener('scroll', () => {
      this.#followed = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_PX;
      if (this.#followed) toNewest.hidden = true;
    });
    toNewest.addEventListener('click', () => this.goToNewest());
    new ResizeObserver(() => this.#followed && this.goToNewest()).observe(scroll);
  }

  show(room: Room): void {
    if (this.#room !== room) {
      this.#nodes.clear();
      this.#followed = true;
      this.toNewest.hidden = true;
    }
    this.#room = room;
    this.#render();
  }

  /** A replay brings many at once; they are drawn together. */
  changed(room: Room): void {
    if (room !== this.#room) return;
    this.#scheduled ??= window.setTimeout(() => this.#render(), RENDER_MS);
  }

  goToNewest(): void {
    this.#followed = true;
    this.toNewest.hidden = true;
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  #render(): void {
    clearTimeout(this.#scheduled);
    this.#scheduled = undefined;
    const room = this.#room;
    if (!room) return;
    this.list.setAttribute('aria-busy', String(!room.joined));
    const newestBefore = this.list.lastElementChild;
    const nodes = new Map<string, HTMLElement>();
    const keep = (key: string, make: () => HTMLElement): HTMLElement => {
      const node = this.#nodes.get(key) ?? make();
      nodes.set(key, node);
      return node;
    };
    let before: { sender: string; whose: Whose; at: number } | undefined;
    let date = '';
    for (const item of [...room.messages, ...room.outgoing]) {
      if (item.kind === 'gap') {
        keep(item.id, () => separator('gap', 'Some messages may be missing here'));
        before = undefined;
        continue;
      }
      const itsDate = new Date(item.at).toDateString();
      if (itsDate !== date) {
        keep(`day-${itsDate}`, () => separator('day', dayName(item.at)));
        before = undefined;
      }
      date = itsDate;
      const whose = item.kind === 'message' ? this.whose(item) : 'tab';
      const sender = item.kind === 'message' ? item.sender : this.me();
      // What was sent under this client-id keeps its node when it comes back as a message.
      const key = item.kind === 'message' && !(whose === 'tab' && item.clientId) ? item.id : `own-${item.clientId}`;
      const node = keep(key, () => bubble(sender));
      const first = !before || before.sender !== sender || before.whose !== whose || item.at - before.at > GROUP_MS;
      this.#fill(node, room, item, sender, whose, first);
      before = { sender, whose, at: item.at };
    }
    if (nodes.size === 0 && room.joined) keep('empty', () => element('p', { className: 'empty', textContent: 'Nothing has been said here yet.' }));
    this.#nodes = nodes;
    arrange(this.list, [...nodes.values()]);
    if (this.#followed) this.goToNewest();
    else if (this.list.lastElementChild !== newestBefore) this.toNewest.hidden = false;
  }

  #fill(node: HTMLElement, room: Room, item: Message | Outgoing, sender: string, whose: Whose, first: boolean): void {
    const state = item.kind === 'message' ? 'stored' : item.state;
    node.classList.toggle('first', first);
    // A message does not change once it is there, only what stands before it does.
    const waiting = item.kind === 'outgoing' && state === 'pending' && !item.sent;
    const drawn = `${item.kind} ${state} ${whose} ${waiting}`;
    if (node.dataset['drawn'] === drawn) return;
    Object.assign(node.dataset, { drawn, mine: whose, state, sender });
    if (item.kind === 'message') node.dataset['id'] = item.id;
    const author = whose === 'tab' ? 'You' : whose === 'user' ? 'You, another tab' : sender;
    node.querySelector('.author')!.textContent = author;
    const text = node.querySelector<HTMLElement>('.text')!;
    text.textContent = item.text;
    text.classList.toggle('raw', item.kind === 'message' && item.raw);
    const at = new Date(item.at);
    const time = element('time', { dateTime: at.toISOString(), textContent: clock.format(at), title: fullTime.format(at) });
    if (item.kind === 'message' && item.position) time.title += `\n${formatPosition(item.position)}`;
    const meta = node.querySelector('.meta')!;
    meta.replaceChildren(time);
    if (whose === 'other') return;
    if (state === 'pending') meta.append(element('span', { className: 'state', textContent: waiting ? 'waiting for the connection…' : 'sending…' }));
    if (state === 'stored') meta.append(element('span', { className: 'state tick', textContent: '✓', title: 'Stored by the broker', ariaLabel: 'stored', role: 'img' }));
    if (item.kind === 'outgoing' && state === 'failed') {
      const again = element('button', { type: 'button', className: 'link', textContent: 'Retry', data: { testid: 'retry' } });
      again.addEventListener('click', () => this.retry(room, item));
      meta.append(element('span', { className: 'state failed', textContent: item.reason }), again);
    }
  }
}

function bubble(sender: string): HTMLElement {
  const avatar = element('span', { className: 'avatar', aria: { hidden: 'true' } });
  dressAvatar(avatar, sender);
  return element(
    'article',
    { className: 'message', data: { testid: 'message' } },
    avatar,
    element('span', { className: 'author' }),
    element('p', { className: 'text', data: { testid: 'message-text' }, dir: 'auto' }),
    element('span', { className: 'meta' }),
  );
}

function separator(kind: 'day' | 'gap', text: string): HTMLElement {
  return element('div', { className: `separator ${kind}`, role: 'separator', data: { testid: kind } }, element('span', { textContent: text }));
}

function dayName(at: number): string {
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return (days < 180 ? day : dayWithYear).format(at);
}

