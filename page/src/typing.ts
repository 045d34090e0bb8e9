// Who is typing. Outwards: one message while someone goes on typing, one when they stop. Inwards: forgotten when no
// more comes, since a transient message may be lost.

const REPEAT_MS = 3_000;
const IDLE_MS = 4_000;
const FORGET_MS = 5_000;

export class TypingOut {
  #room: string | undefined;
  #saidAt = 0;
  #idle: number | undefined;

  constructor(private readonly say: (room: string, typing: boolean) => void) {}

  typed(room: string): void {
    if (this.#room !== room) this.stop();
    clearTimeout(this.#idle);
    this.#idle = window.setTimeout(() => this.stop(), IDLE_MS);
    if (this.#room === room && Date.now() - this.#saidAt < REPEAT_MS) return;
    this.#room = room;
    this.#saidAt = Date.now();
    this.say(room, true);
  }

  stop(): void {
    const room = this.#room;
    this.forget();
    if (room !== undefined) this.say(room, false);
  }

  /** Without a word: the message that was sent says it. */
  forget(): void {
    clearTimeout(this.#idle);
    this.#room = undefined;
  }
}

export class TypingIn {
  readonly #users = new Map<string, number>();

  constructor(private readonly line: HTMLElement) {}

  set(user: string, typing: boolean): void {
    clearTimeout(this.#users.get(user));
    this.#users.delete(user);
    if (typing) this.#users.set(user, window.setTimeout(() => this.set(user, false), FORGET_MS));
    this.#show();
  }

  clear(): void {
    for (const timer of this.#users.values()) clearTimeout(timer);
    this.#users.clear();
    this.#show();
  }

  #show(): void {
    const names = [...this.#users.keys()];
    this.line.textContent =
      names.length === 0 ? '' : names.length === 1 ? `${names[0]} is typing…` : names.length < 4 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)} are typing…` : 'Several people are typing…';
  }
}
