import { engine } from '../support/target.ts';
import { short, testHostile } from './hostile.ts';

testHostile(engine, {
  header_timeout_ms: short,
  body_timeout_ms: short,
  write_timeout_ms: short,
  rate_grace_ms: short,
  idle_timeout_ms: short,
});
