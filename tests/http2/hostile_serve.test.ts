import { serveApp } from '../support/target.ts';
import { testHostile } from './hostile.ts';

testHostile(serveApp);
