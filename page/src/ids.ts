// Random names.

/** crypto.randomUUID exists on secure origins only, and a broker in the next room is none. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
