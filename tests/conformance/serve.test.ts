import { suite } from 'uvu';
import { stopAll } from '../support/process.ts';
import { serveApp } from '../support/target.ts';
import { conformance } from './cases/all.ts';

const test = suite('conformance: serve');
test.after(stopAll);
conformance(test, serveApp);
test.run();
