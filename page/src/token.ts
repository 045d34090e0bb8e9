// Where tokens come from: the development endpoint, or the visitor. A token never enters a URL or localStorage.

const KEY = 'footfall.token';

/** The broker answered, and gives no tokens: not in development mode, or we are not on loopback. */
export class NoTokenHere extends Error {}

export async function fetchDevelopmentToken(user: string): Promise<string> {
  const response = await fetch('dev/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user, roles: ['USER'] }),
  });
  if (!response.ok) {
    const why = response.status === 404 ? 'Development tokens are given in development mode and on loopback only.' : `The broker gave no token (${response.status}).`;
    // 5xx may be a proxy in front of a broker that is about to come back.
    throw response.status < 500 ? new NoTokenHere(why) : new Error(why);
  }
  return ((await response.json()) as { token: string }).token;
}

/** sessionStorage: survives a reload, ends with the tab. */
export const pastedToken = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (token: string): void => sessionStorage.setItem(KEY, token),
  forget: (): void => sessionStorage.removeItem(KEY),
};

/** Accepts what people copy: with "Bearer " in front, broken over lines. */
export function cleanToken(pasted: string): string {
  return pasted.replace(/^\s*Bearer\s+/i, '').replace(/\s+/g, '');
}

export function looksLikeToken(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token);
}
