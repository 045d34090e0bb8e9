// Conditions and deadlines: nothing here waits for a time to pass.

import { setTimeout as pause } from 'node:timers/promises';

/** Five times what the slowest usual answer may take; whoever waits longer waits for something that will not come. */
export const DEADLINE = 10_000;

/** Waits until a condition gives something true, and returns that. */
export async function until(what, condition, deadline = DEADLINE) {
  const end = performance.now() + deadline;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`Not within ${deadline} ms: ${what}.`);
    await pause(5);
  }
}
