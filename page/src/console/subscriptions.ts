// The subscriptions the console holds, with what came in on each.

import { byId, element } from '../dom';

export interface HeldSubscription {
  id: string;
  destination: string;
  ack: string;
}

export class Subscriptions {
  readonly #list = byId('console-subscriptions');
  readonly #held = new Map<string, HeldSubscription & { node: HTMLElement; received: number }>();

  constructor(private readonly unsubscribe: (id: string) => void) {}

  get(id: string | undefined): HeldSubscription | undefined {
    return id === undefined ? undefined : this.#held.get(id);
  }

  add(subscription: HeldSubscription): void {
    const { id, destination, ack } = subscription;
    const stop = element('button', { type: 'button', textContent: 'Unsubscribe', data: { testid: 'console-unsubscribe' } });
    stop.addEventListener('click', () => this.unsubscribe(id));
    const node = element(
      'li',
      { data: { id } },
      element('span', { className: 'subscription' }, element('code', { textContent: destination }), element('small', { textContent: `${id} · ${ack} · ` }, element('output', { textContent: '0' }), ' received')),
      stop,
    );
    this.#held.get(id)?.node.remove();
    this.#held.set(id, { ...subscription, node, received: 0 });
    this.#list.append(node);
  }

  received(id: string): void {
    const held = this.#held.get(id);
    if (held) held.node.querySelector('output')!.textContent = String(++held.received);
  }

  remove(id: string): void {
    this.#held.get(id)?.node.remove();
    this.#held.delete(id);
  }

  clear(): void {
    this.#held.clear();
    this.#list.replaceChildren();
  }
}
