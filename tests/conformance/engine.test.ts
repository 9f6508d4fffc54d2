import { suite } from 'uvu';
import { stopAll } from '../support/process.ts';
import { engine } from '../support/target.ts';
import { conformance } from './cases/all.ts';

const test = suite('conformance: engine');
test.after(stopAll);
conformance(test, engine);
test.run();
