// The state of the chat's connection in two words, and in full when pointed at.

import type { ConnectionState } from './connection';
import { element } from './dom';

export class ConnectionPill {
  #tick: number | undefined;
  readonly #dot = element('span', { className: 'dot', aria: { hidden: 'true' } });
  readonly #text = element('span', { className: 'pill-text' });
  readonly #now = element('button', { type: 'button', className: 'link', textContent: 'now', title: 'Try now', hidden: true });

  constructor(private readonly pill: HTMLElement, retryNow: () => void) {
    pill.replaceChildren(this.#dot, this.#text, this.#now);
    this.#now.addEventListener('click', retryNow);
  }

  show(state: ConnectionState): void {
    clearInterval(this.#tick);
    this.pill.hidden = state.name === 'idle';
    this.pill.dataset['state'] = state.name;
    this.pill.title = '';
    this.#now.hidden = true;
    // Counting down is for the eye; a screen reader hears the change of state only.
    this.#text.setAttribute('aria-live', 'off');
    switch (state.name) {
      case 'idle':
        break;
      case 'connecting':
        this.#text.textContent = 'Connecting…';
        break;
      case 'connected':
        this.#text.textContent = 'Connected';
        this.pill.title = state.detail;
        break;
      case 'refused':
        this.#text.textContent = `Refused: ${state.code}`;
        this.pill.title = state.sentence;
        break;
      case 'reconnecting':
      case 'offline': {
        this.pill.title = state.because;
        this.#now.hidden = false;
        const countDown = () => {
          const seconds = Math.max(1, Math.ceil((state.nextAttemptAt - Date.now()) / 1000));
          this.#text.textContent = `${state.name === 'offline' ? 'Offline, trying' : 'Reconnecting'} in ${seconds} s`;
        };
        countDown();
        this.#tick = window.setInterval(countDown, 250);
      }
    }
  }

  /** The broker's beat, made visible. */
  beat(): void {
    this.#dot.classList.remove('beat');
    void this.#dot.offsetWidth; // restarts the animation
    this.#dot.classList.add('beat');
  }
}
