import type { RouteObject } from 'react-router';
import { expect, it } from 'vitest';
// What the browser tests look at: not part of the program, and not TypeScript.
// @ts-expect-error -- a module without types
import { pages } from '../../test/browser/pages.mjs';
import { sections } from './console/sections';
import { routes } from './routes';

const paths = (list: RouteObject[]): string[] => list.flatMap((r) => (r.children ? paths(r.children) : [r.index ? '' : (r.path ?? '')]));

it('every page is one that the browser tests look at', () => {
  const looked = new Set((pages as { route: string }[]).map((p) => p.route));
  expect([...looked].sort()).toEqual([...new Set(paths(routes()))].sort());
});

it("every section of the console's navigation is a page", () => {
  const known = new Set(paths(routes()).map((p) => `/${p}`));
  expect(sections.map((s) => s.path).filter((p) => !known.has(p))).toEqual([]);
});
