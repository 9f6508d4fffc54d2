import { engine } from '../support/target.ts';
import { testHostile } from './hostile.ts';

testHostile(engine);
