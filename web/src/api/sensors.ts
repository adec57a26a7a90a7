import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import type { SensorView } from './schema';

export type { AnomalyView as Anomaly } from './schema';
export type Sensor = SensorView;

/** Every sensor with its newest minutes. Devices speak once a second; a minute of them moves slower than that. */
export const sensors = queryOptions({
  queryKey: ['sensors'],
  queryFn: ({ signal }) => ok(api.GET('/api/sensors', { signal })),
  refetchInterval: 2000,
});
