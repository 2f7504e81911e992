export { until } from '../harness/wait-until.ts';
