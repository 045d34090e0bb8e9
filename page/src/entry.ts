// The first visit: a name (development mode) or a token.

import type { Config } from './config';
import { byId, formError } from './dom';
import { cleanToken, fetchDevelopmentToken, looksLikeToken, pastedToken } from './token';

/** Only to fill in the field next time. Which user a tab is stands in its URL, so that two tabs can be two users. */
const NAME_KEY = 'footfall.name';

export interface Visitor {
  name: string | undefined;
  token: () => Promise<string>;
  /** Whether `token` gives a fresh one each time. */
  renewable: boolean;
}

export function named(name: string): Visitor {
  return { name, token: () => fetchDevelopmentToken(name), renewable: true };
}

export function withToken(token: string): Visitor {
  return { name: undefined, token: () => Promise.resolve(token), renewable: false };
}

export class Entry {
  readonly #entry = byId('entry');
  readonly #nameForm = byId<HTMLFormElement>('name-form');
  readonly #tokenForm = byId<HTMLFormElement>('token-form');
  readonly #name = byId<HTMLInputElement>('name-input');
  readonly #token = byId<HTMLInputElement>('token-input');

  constructor(private readonly config: Config, private readonly enter: (visitor: Visitor) => void) {
    this.#nameForm.addEventListener('submit', (event) => this.#onName(event));
    this.#tokenForm.addEventListener('submit', (event) => this.#onToken(event));
    byId('use-token').addEventListener('click', () => this.#show(this.#tokenForm));
    byId('use-name').addEventListener('click', () => this.#show(this.#nameForm));
    byId('name-instead').hidden = !config.development;
  }

  show(): void {
    this.#show(this.config.development ? this.#nameForm : this.#tokenForm);
  }

  showToken(because: string): void {
    this.#show(this.#tokenForm, because);
  }

  hide(): void {
    this.#entry.hidden = true;
  }

  #show(form: HTMLFormElement, because = ''): void {
    this.#entry.hidden = false;
    this.#nameForm.hidden = form !== this.#nameForm;
    this.#tokenForm.hidden = form !== this.#tokenForm;
    formError(form, because);
    this.#name.value ||= localStorage.getItem(NAME_KEY) ?? '';
    const field = form === this.#nameForm ? this.#name : this.#token;
    field.focus();
    field.select();
  }

  #onName(event: SubmitEvent): void {
    event.preventDefault();
    const name = this.#name.value.trim();
    if (!name) return formError(this.#nameForm, 'Choose a name.');
    localStorage.setItem(NAME_KEY, name);
    this.enter(named(name));
  }

  #onToken(event: SubmitEvent): void {
    event.preventDefault();
    const token = cleanToken(this.#token.value);
    if (!looksLikeToken(token)) return formError(this.#tokenForm, 'A JWT has three parts with dots between them.');
    pastedToken.set(token);
    this.#token.value = '';
    this.enter(withToken(token));
  }
}
