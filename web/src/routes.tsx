import type { ComponentType } from 'react';
import type { RouteObject } from 'react-router';
import { ConsoleShell } from './shell/console-shell';
import { Crashed } from './shell/crashed';
import { patiently } from './shell/load';
import { NotFound } from './shell/not-found';
import { Root } from './shell/root';
import { StoreShell } from './shell/store-shell';

/**
 * Every page of both faces has a path of its own and is loaded when it is gone to.
 * A page of the console has its line in console/sections.ts as well, and every
 * page has one in test/browser/pages.mjs, which has it looked at in both themes
 * and on a phone; routes.test.tsx holds us to it.
 */
export function routes(): RouteObject[] {
  return [
    {
      element: <Root />,
      children: [
        {
          element: <StoreShell />,
          children: pages([
            { index: true, ...page(async () => (await import('./store/catalogue-page')).CataloguePage) },
            { path: 'basket', ...page(async () => (await import('./store/basket-page')).BasketPage) },
            { path: 'checkout', ...page(async () => (await import('./store/checkout-page')).CheckoutPage) },
            { path: 'track', ...page(async () => (await import('./store/track-page')).TrackPage) },
            { path: 'track/:id', ...page(async () => (await import('./store/order-page')).OrderPage) },
            { path: '*', element: <NotFound /> },
          ]),
        },
        {
          element: <ConsoleShell />,
          children: pages([
            { path: 'orders', ...page(async () => (await import('./console/orders/orders-page')).OrdersPage) },
            { path: 'orders/:id', ...page(async () => (await import('./console/orders/order-page')).OrderPage) },
            { path: 'approvals', ...page(async () => (await import('./console/approvals/approvals-page')).ApprovalsPage) },
            { path: 'scenarios', ...page(async () => (await import('./console/scenarios/scenarios-page')).ScenariosPage) },
            { path: 'scenarios/:name', ...page(async () => (await import('./console/scenarios/scenarios-page')).ScenariosPage) },
            { path: 'invariants', ...page(async () => (await import('./console/invariants/invariants-page')).InvariantsPage) },
            { path: 'dead-letters', ...page(async () => (await import('./console/dead-letters/dead-letters-page')).DeadLettersPage) },
            { path: 'dead-letters/*', ...page(async () => (await import('./console/dead-letters/letter-page')).LetterPage) },
            { path: 'tasks', ...page(async () => (await import('./console/tasks/tasks-page')).TasksPage) },
            { path: 'mails', ...page(async () => (await import('./console/mails/mails-page')).MailsPage) },
            { path: 'mails/:id', ...page(async () => (await import('./console/mails/mail-page')).MailPage) },
            { path: 'sales', ...page(async () => (await import('./console/sales/sales-page')).SalesPage) },
            { path: 'sensors', ...page(async () => (await import('./console/sensors/sensors-page')).SensorsPage) },
            { path: 'brokers', ...page(async () => (await import('./console/brokers/brokers-page')).BrokersPage) },
          ]),
        },
      ],
    },
  ];
}

/** A page that fails leaves the shell around it usable. */
function pages(children: RouteObject[]): RouteObject[] {
  return [{ errorElement: <Crashed />, children }];
}

function page(load: () => Promise<ComponentType>): Pick<RouteObject, 'lazy' | 'hydrateFallbackElement'> {
  return { lazy: { Component: () => patiently(load) }, hydrateFallbackElement: <></> };
}
