import type { RouteObject } from 'react-router';
import { Navigate } from 'react-router';
import { Crashed } from './pages/crashed';
import { NotFound } from './pages/not-found';
import { OrderPage } from './pages/orders/order-page';
import { OrdersPage } from './pages/orders/orders-page';
import { Shell } from './shell';

export const routes: RouteObject[] = [
  {
    element: <Shell />,
    children: [
      {
        errorElement: <Crashed />,
        children: [
          { index: true, element: <Navigate to="/orders" replace /> },
          { path: 'orders', element: <OrdersPage /> },
          { path: 'orders/:id', element: <OrderPage /> },
          { path: '*', element: <NotFound /> },
        ],
      },
    ],
  },
];
