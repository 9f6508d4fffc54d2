/** Whether the loader is there, in a file that loads nothing of it. */

/** A global of each thread whose loader is registered. */
const mark = Symbol.for('gyrfalcon.loader');
const state = globalThis as { [mark]?: true };

/** Whether this thread has the loader. */
export function isRegistered(): boolean {
  return state[mark] === true;
}

/** Says that it has. False: it had it before. */
export function markRegistered(): boolean {
  const isNew = !isRegistered();
  state[mark] = true;
  return isNew;
}
