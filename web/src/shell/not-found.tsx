import { Link, useLocation } from 'react-router';
import { text } from '../text';
import { Unknown } from '../ui/state';
import { useTitle } from '../ui/title';

export function NotFound() {
  useTitle(text.notFound.title);
  const { pathname } = useLocation();
  return (
    <Unknown title={text.notFound.title}>
      <p>{text.notFound.hint(pathname)}</p>
      <Link to="/">{text.notFound.shop}</Link>
      <Link to="/orders">{text.notFound.orders}</Link>
    </Unknown>
  );
}
