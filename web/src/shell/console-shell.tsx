import { Dialog } from '@base-ui/react/dialog';
import { Braces, Menu, ShoppingBag, X } from 'lucide-react';
import { useState } from 'react';
import { Link, NavLink, Outlet, ScrollRestoration } from 'react-router';
import { sections } from '../console/sections';
import { LiveIndicator } from '../status/live-indicator';
import { ServerAway } from '../status/server-away';
import { Unready } from '../status/unready';
import { text } from '../text';
import { Button } from '../ui/button';
import { Logo } from '../ui/logo';
import styles from './console-shell.module.css';
import { ThemeMenu } from './theme-menu';

/** What is around every page of the console. */
export function ConsoleShell() {
  return (
    <div className={styles.shell}>
      <a className={styles.skip} href="#content">
        {text.nav.skip}
      </a>
      {/* A column beside the page, and on a phone a line above it. */}
      <header className={styles.bar}>
        <PhoneNavigation />
        <Brand />
        <Navigation />
        <div className={styles.end}>
          <LiveIndicator />
          <ThemeMenu />
        </div>
      </header>
      <div className={styles.page}>
        <ServerAway />
        <Unready />
        <main id="content" className={styles.main} tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <ScrollRestoration />
    </div>
  );
}

function Brand() {
  return (
    <Link to="/orders" className={styles.brand}>
      <Logo />
      <span>{text.product}</span>
      <span className={styles.face}>{text.nav.console}</span>
    </Link>
  );
}

function Navigation({ onLeave }: { onLeave?: () => void }) {
  return (
    <nav className={styles.nav} aria-label={text.nav.label} onClick={onLeave}>
      <ul className={styles.sections}>
        {sections.map(({ path, label, icon: Icon }) => (
          <li key={path}>
            <NavLink to={path}>
              <Icon size={16} aria-hidden="true" />
              {label}
            </NavLink>
          </li>
        ))}
      </ul>
      <ul className={styles.elsewhere}>
        <li>
          <Link to="/">
            <ShoppingBag size={16} aria-hidden="true" />
            {text.nav.storefront}
          </Link>
        </li>
        <li>
          <a href="/api/openapi.json">
            <Braces size={16} aria-hidden="true" />
            {text.nav.api}
          </a>
        </li>
      </ul>
    </nav>
  );
}

function PhoneNavigation() {
  const [open, setOpen] = useState(false);
  return (
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Trigger render={<Button className={styles.menu} look="quiet" size="small" aria-label={text.nav.open} />}>
        <Menu size={18} aria-hidden="true" />
      </Dialog.Trigger>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.sheet} aria-label={text.nav.label}>
          <div className={styles.sheetHead}>
            <Brand />
            <Dialog.Close render={<Button look="quiet" size="small" aria-label={text.nav.close} />}>
              <X size={18} aria-hidden="true" />
            </Dialog.Close>
          </div>
          <Navigation onLeave={() => setOpen(false)} />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
