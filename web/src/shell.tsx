import { NavLink, Outlet, ScrollRestoration } from 'react-router';
import styles from './shell.module.css';
import { LiveIndicator } from './status/live-indicator';
import { ServerAway } from './status/server-away';
import { Unready } from './status/unready';
import { text } from './text';
import { Logo } from './ui/logo';

/** What is around every page. */
export function Shell() {
  return (
    <>
      <a className={styles.skip} href="#content">
        {text.nav.skip}
      </a>
      <header className={styles.bar}>
        <div className={styles.inner}>
          <NavLink to="/" className={styles.brand ?? ''} aria-label={text.product}>
            <Logo />
            <span>{text.product}</span>
          </NavLink>
          <nav className={styles.nav} aria-label={text.nav.label}>
            <NavLink to="/orders">{text.nav.orders}</NavLink>
          </nav>
          <div className={styles.end}>
            <LiveIndicator />
            <a className={styles.api} href="/api/openapi.json">
              {text.nav.api}
            </a>
          </div>
        </div>
      </header>
      <div className={styles.banners}>
        <ServerAway />
        <Unready />
      </div>
      <main id="content" className={styles.main} tabIndex={-1}>
        <Outlet />
      </main>
      <ScrollRestoration />
    </>
  );
}
