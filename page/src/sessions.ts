// The sessions this tab has had. `sender-session` names one; after a reconnect or a reload the earlier ones are still us.

const KEY = 'footfall.sessions';
const KEPT = 100;

export class Sessions {
  readonly #ids = new Set<string>(sessionStorage.getItem(KEY)?.split('\n'));

  add(id: string): void {
    this.#ids.add(id);
    sessionStorage.setItem(KEY, [...this.#ids].slice(-KEPT).join('\n'));
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
