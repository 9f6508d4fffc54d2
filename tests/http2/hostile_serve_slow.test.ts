import { serveApp } from '../support/target.ts';
import { short, testHostile } from './hostile.ts';

testHostile(serveApp, {
  headerTimeout: short,
  bodyTimeout: short,
  writeTimeout: short,
  rateGrace: short,
  keepAliveTimeout: short,
});
