import './ui/fonts.css';
import './ui/tokens.css';
import './ui/base.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RouterProvider, createBrowserRouter } from 'react-router';
import { createQueryClient } from './api/queries';
import { LiveClient } from './live/client';
import { LiveProvider } from './live/context';
import { routes } from './routes';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={createQueryClient()}>
      <LiveProvider client={new LiveClient()}>
        <RouterProvider router={createBrowserRouter(routes())} />
      </LiveProvider>
    </QueryClientProvider>
  </StrictMode>,
);
