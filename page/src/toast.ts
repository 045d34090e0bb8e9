// Short messages which need no answer: notices, refusals.

import { element } from './dom';

const SHOWN_MS = 7_000;
const AT_ONCE = 4;

export class Toasts {
  constructor(private readonly place: HTMLElement) {}

  show(title: string, text: string, kind: 'notice' | 'error'): void {
    const close = element('button', { type: 'button', className: 'leave-room', textContent: '×', ariaLabel: 'Dismiss' });
    const toast = element('div', { className: `toast ${kind}`, data: { testid: 'toast' } }, element('div', {}, element('strong', { textContent: title }), element('p', { textContent: text })), close);
    close.addEventListener('click', () => toast.remove());
    setTimeout(() => toast.remove(), SHOWN_MS);
    this.place.append(toast);
    while (this.place.childElementCount > AT_ONCE) this.place.firstElementChild!.remove();
  }
}
