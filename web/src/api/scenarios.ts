import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import { untilAnswered } from './queries';
import type { Run, ScenarioBody } from './schema';

export type { Parameter, Promised, Run, RunStep } from './schema';
export type Scenario = ScenarioBody;
export type RunState = Run['state'];

/** What there is to play, and how it went; somebody else may play too. */
export const scenarios = queryOptions({
  queryKey: ['scenarios'],
  queryFn: ({ signal }) => ok(api.GET('/api/scenarios', { signal })),
  refetchInterval: ({ state }) => (state.data?.runs[0]?.state === 'running' ? 2000 : 5000),
});

/** One run, closely watched for as long as it goes on. */
export function run(id: string) {
  return queryOptions({
    queryKey: ['scenarios', 'run', id],
    queryFn: ({ signal }) => ok(api.GET('/api/scenarios/runs/{id}', { params: { path: { id } }, signal })),
    refetchInterval: (query) => (query.state.data?.state === 'running' ? 300 : untilAnswered(query)),
  });
}

export function startScenario(name: string, parameters: Record<string, number>): Promise<Run> {
  return ok(api.POST('/api/scenarios/{name}', { params: { path: { name } }, body: { parameters } }));
}
