import type { ButtonHTMLAttributes } from 'react';
import styles from './button.module.css';

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: 'plain' | 'quiet' | 'danger';
  size?: 'normal' | 'small';
}

export function Button({ look = 'plain', size = 'normal', type = 'button', className, ...rest }: Props) {
  return <button type={type} className={[styles.button, className].filter(Boolean).join(' ')} data-look={look} data-size={size} {...rest} />;
}
