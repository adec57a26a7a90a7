import type { ComponentProps } from 'react';
import { Link } from 'react-router';
import styles from './button.module.css';

interface Look {
  look?: 'plain' | 'primary' | 'quiet' | 'danger';
  size?: 'small' | 'normal' | 'large';
}

export function Button({ look = 'plain', size = 'normal', type = 'button', className, ...rest }: Look & ComponentProps<'button'>) {
  return <button type={type} className={classes(className)} data-look={look} data-size={size} {...rest} />;
}

/** Looks like a button and leads to a page. */
export function ButtonLink({ look = 'plain', size = 'normal', className, ...rest }: Look & Omit<ComponentProps<typeof Link>, 'className'> & { className?: string | undefined }) {
  return <Link className={classes(className)} data-look={look} data-size={size} {...rest} />;
}

function classes(more: string | undefined): string {
  return [styles.button, more].filter(Boolean).join(' ');
}
