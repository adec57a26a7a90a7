import { Outlet } from 'react-router';
import { ToastProvider } from '../ui/toast';
import { TooltipProvider } from '../ui/tooltip';

/** What both faces share. */
export function Root() {
  return (
    <TooltipProvider>
      <ToastProvider>
        <Outlet />
      </ToastProvider>
    </TooltipProvider>
  );
}
