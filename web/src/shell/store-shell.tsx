import { LayoutDashboard, Package, ShoppingBasket } from 'lucide-react';
import { Link, NavLink, Outlet, ScrollRestoration } from 'react-router';
import { ServerAway } from '../status/server-away';
import { Unready } from '../status/unready';
import { useBasket } from '../store/basket';
import { useOrderToasts } from '../store/use-order-toasts';
import { text } from '../text';
import { Logo } from '../ui/logo';
import styles from './store-shell.module.css';
import { ThemeMenu } from './theme-menu';

/** What is around every page of the storefront. */
export function StoreShell() {
  const { units } = useBasket();
  useOrderToasts();
  return (
    <div className={styles.shell}>
      <a className={styles.skip} href="#content">
        {text.nav.skip}
      </a>
      <header className={styles.bar}>
        <div className={styles.inner}>
          <Link to="/" className={styles.brand}>
            <Logo />
            <span>{text.product}</span>
          </Link>
          <nav className={styles.nav} aria-label={text.nav.label}>
            <NavLink to="/track">
              <Package size={18} aria-hidden="true" />
              <span className={styles.word}>{text.store.nav.orders}</span>
            </NavLink>
            <NavLink to="/basket">
              <ShoppingBasket size={18} aria-hidden="true" />
              <span className={styles.word}>{text.store.nav.basket}</span>
              <span className={styles.count} data-testid="basket-units" data-empty={units === 0 || undefined}>
                {units}
              </span>
              <span className="visually-hidden">{text.store.nav.items(units)}</span>
            </NavLink>
          </nav>
          <ThemeMenu />
        </div>
      </header>
      <ServerAway />
      <Unready />
      <main id="content" className={styles.main} tabIndex={-1}>
        <Outlet />
      </main>
      <footer className={styles.foot}>
        <p>{text.store.foot}</p>
        <Link to="/orders">
          <LayoutDashboard size={14} aria-hidden="true" />
          {text.store.nav.console}
        </Link>
      </footer>
      <ScrollRestoration />
    </div>
  );
}
