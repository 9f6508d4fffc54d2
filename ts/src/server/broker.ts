import type { Broker } from '../broker/broker.ts';
import { invalid } from './invalid.ts';

/** Throws GYR_OPTION_INVALID. */
export function checkBroker(given: unknown): void {
  if (given === undefined) return;
  const { name, open, maxWaitingBytes, maxWaitingTime } = (given ?? {}) as Partial<Broker>;
  if (typeof open !== 'function' || typeof name !== 'string') {
    throw invalid('broker', given, 'what redisBroker() or natsBroker() gives, or alike');
  }
  checkInteger('maxWaitingBytes', maxWaitingBytes, 2 ** 21, 2 ** 32);
  checkInteger('maxWaitingTime', maxWaitingTime, 1, 2 ** 31 - 1);
}

function checkInteger(name: string, value: unknown, min: number, max: number): void {
  if (value === undefined) return;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return;
  throw invalid(`broker.${name}`, value, `an integer from ${min} to ${max}`);
}
