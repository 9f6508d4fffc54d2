import { testBroker } from './broker_scenarios.ts';

testBroker('nats', 'nats2');
