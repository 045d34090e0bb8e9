// The log: every frame in and out with its time, direction and size; heart-beats as dots; bounded.

import { byId, element } from '../dom';
import { maskHeader, maskText } from './mask';
import { unescaped, type Direction, type RawFrame } from './observed_socket';

const ENTRIES = 1_000;
const BEATS_IN_A_ROW = 60;
const NEAR_PX = 60;

export interface Acknowledge {
  (kind: 'ack' | 'nack'): void;
}

interface Entry {
  node: HTMLElement;
  /** What Copy copies and the filter looks through. */
  text: string;
}

export class FrameLog {
  #entries: Entry[] = [];
  #held: Entry[] | undefined;
  #beats: { row: Entry; dots: HTMLElement; count: number } | undefined;
  readonly #log = byId('log');
  readonly #filter = byId<HTMLInputElement>('log-filter');
  readonly #pause = byId<HTMLButtonElement>('log-pause');
  readonly #copy = byId<HTMLButtonElement>('log-copy');

  constructor() {
    const beats = byId<HTMLInputElement>('log-beats');
    beats.addEventListener('change', () => this.#log.classList.toggle('no-beats', !beats.checked));
    this.#filter.addEventListener('input', () => this.#entries.forEach((entry) => this.#applyFilter(entry)));
    this.#pause.addEventListener('click', () => (this.#held ? this.#resume() : this.#hold()));
    this.#copy.addEventListener('click', () => void this.#copyAll());
    byId('log-clear').addEventListener('click', () => this.#clear());
  }

  /** Headers are shown unescaped, so that what is copied from here can be typed in there. */
  frame(direction: Direction, frame: RawFrame, escaped: boolean, acknowledge?: Acknowledge): void {
    this.#beats = undefined;
    const plain = (text: string) => (escaped ? unescaped(text) : text);
    const headers = frame.headers.map(([name, value]): [string, string] => [plain(name), maskHeader(plain(name), plain(value))]);
    const body = readable(frame.body);
    const time = now();
    const [subject, detail] = summary(frame.command, headers, body);
    const node = element(
      'div',
      { className: `frame ${direction}`, data: { testid: 'console-frame', direction, command: frame.command } },
      element(
        'details',
        {},
        element(
          'summary',
          {},
          element('time', { textContent: time }),
          element('span', { className: 'arrow', textContent: direction === 'in' ? '←' : '→', ariaLabel: direction === 'in' ? 'received' : 'sent', role: 'img' }),
          element('span', { className: 'command', textContent: frame.command }),
          element('span', { className: 'about' }, subject, element('span', { className: 'detail', textContent: detail })),
          element('span', { className: 'size', textContent: size(frame.size) }),
        ),
        element('dl', {}, ...headers.flatMap(([name, value]) => [element('dt', { textContent: name }), element('dd', { textContent: value })])),
        ...(body ? [element('pre', { textContent: body })] : []),
      ),
    );
    if (acknowledge) node.append(acknowledgement(acknowledge));
    const lines = [`${time} ${direction === 'in' ? '<<<' : '>>>'} ${frame.command} (${frame.size} B)`, ...headers.map(([name, value]) => `${name}:${value}`), ...(body ? ['', body] : [])];
    this.#add({ node, text: lines.join('\n') });
  }

  heartBeat(direction: Direction): void {
    const time = now();
    const dot = element('i', { className: direction, title: `${time} ${direction === 'in' ? 'received' : 'sent'}` });
    if (this.#beats && this.#beats.count < BEATS_IN_A_ROW) {
      this.#beats.count++;
      this.#beats.row.text += `\n${time} ${direction === 'in' ? '<<<' : '>>>'} heart-beat`;
      this.#beats.dots.append(dot);
      return;
    }
    const dots = element('span', { className: 'dots', role: 'img', ariaLabel: 'heart-beats' }, dot);
    const node = element('div', { className: 'beats', data: { testid: 'console-heart-beats' } }, element('time', { textContent: time }), dots);
    const row = { node, text: `${time} ${direction === 'in' ? '<<<' : '>>>'} heart-beat` };
    this.#beats = { row, dots, count: 1 };
    this.#add(row);
  }

  event(text: string): void {
    this.#beats = undefined;
    const time = now();
    this.#add({ node: element('div', { className: 'event', data: { testid: 'console-event' } }, element('time', { textContent: time }), element('span', { textContent: text })), text: `${time} --- ${text}` });
  }

  #add(entry: Entry): void {
    if (this.#held) {
      this.#held.push(entry);
      if (this.#held.length > ENTRIES) this.#held.shift();
      this.#pause.textContent = `Resume (${this.#held.length})`;
      return;
    }
    const follow = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_PX;
    this.#entries.push(entry);
    this.#applyFilter(entry);
    this.#log.append(entry.node);
    if (this.#entries.length > ENTRIES) this.#entries.shift()!.node.remove();
    byId('log-empty').hidden = true;
    if (follow) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #applyFilter({ node, text }: Entry): void {
    const wanted = this.#filter.value.trim().toLowerCase();
    node.hidden = wanted !== '' && !text.toLowerCase().includes(wanted);
  }

  #hold(): void {
    this.#held = [];
    this.#beats = undefined;
    this.#pause.ariaPressed = 'true';
    this.#pause.textContent = 'Resume';
  }

  #resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#beats = undefined;
    this.#pause.ariaPressed = 'false';
    this.#pause.textContent = 'Pause';
    for (const entry of held) this.#add(entry);
  }

  #clear(): void {
    this.#entries = [];
    this.#beats = undefined;
    if (this.#held) {
      this.#held = [];
      this.#pause.textContent = 'Resume';
    }
    this.#log.replaceChildren();
    byId('log-empty').hidden = false;
  }

  async #copyAll(): Promise<void> {
    const text = this.#entries.filter(({ node }) => !node.hidden).map((entry) => entry.text).join('\n\n');
    try {
      await navigator.clipboard.writeText(text);
      this.#copy.textContent = 'Copied';
    } catch {
      // Not a secure origin, or not allowed.
      this.#copy.textContent = 'Not allowed';
    }
    setTimeout(() => (this.#copy.textContent = 'Copy'), 1_500);
  }
}

function acknowledgement(acknowledge: Acknowledge): HTMLElement {
  const buttons = (['ack', 'nack'] as const).map((kind) => {
    const button = element('button', { type: 'button', textContent: kind.toUpperCase(), data: { testid: `console-${kind}` } });
    button.addEventListener('click', () => {
      acknowledge(kind);
      for (const other of buttons) other.disabled = true;
    });
    return button;
  });
  return element('span', { className: 'acknowledge' }, ...buttons);
}

/** What a frame is about, in a line: its subject, and what is said of it. */
function summary(command: string, headers: [string, string][], body: string): [string, string] {
  const get = (...names: string[]) => names.map((wanted) => headers.find(([name]) => name === wanted)?.[1]).find((value) => value !== undefined) ?? '';
  switch (command) {
    case 'CONNECT':
      return [get('accept-version'), `heart-beat ${get('heart-beat')}`];
    case 'CONNECTED':
      return [get('user-name'), `STOMP ${get('version')}, heart-beat ${get('heart-beat')}`];
    case 'RECEIPT':
      return [get('receipt-id'), get('position') && `position ${get('position')}${get('recovered') && `, recovered ${get('recovered')}`}`];
    case 'ERROR':
      return [get('code'), get('message')];
    case 'SUBSCRIBE':
      return [get('destination'), `id ${get('id')}, ack ${get('ack') || 'auto'}`];
    default:
      return [get('destination', 'id', 'message-id', 'transaction', 'receipt'), body.slice(0, 300)];
  }
}

function readable(body: Uint8Array): string {
  try {
    return maskText(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    const shown = body.subarray(0, 512);
    return `${Array.from(shown, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}${body.length > shown.length ? ' …' : ''}`;
  }
}

function now(): string {
  const date = new Date();
  const pad = (value: number, width = 2) => String(value).padStart(width, '0');
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

const size = (bytes: number): string => (bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KiB`);
