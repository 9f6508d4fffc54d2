import { testBroker } from './broker_scenarios.ts';

testBroker('redis', 'ioredis');
