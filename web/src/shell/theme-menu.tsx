import { Menu } from '@base-ui/react/menu';
import { Check, Moon, Sun, SunMoon } from 'lucide-react';
import { text } from '../text';
import { Button } from '../ui/button';
import styles from '../ui/menu.module.css';
import type { Theme } from './theme';
import { themes, useTheme } from './theme';

const icons = { system: SunMoon, light: Sun, dark: Moon };

export function ThemeMenu() {
  const [theme, choose] = useTheme();
  const Icon = icons[theme];
  return (
    <Menu.Root>
      <Menu.Trigger render={<Button look="quiet" size="small" aria-label={text.theme.label} />}>
        <Icon size={16} aria-hidden="true" />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner className={styles.positioner} align="end" sideOffset={4}>
          <Menu.Popup className={styles.popup}>
            <Menu.RadioGroup value={theme} onValueChange={(next) => choose(next as Theme)}>
              {themes.map((t) => (
                <Menu.RadioItem key={t} value={t} className={styles.item} closeOnClick>
                  {text.theme.names[t]}
                  <Menu.RadioItemIndicator className={styles.mark}>
                    <Check size={14} aria-hidden="true" />
                  </Menu.RadioItemIndicator>
                </Menu.RadioItem>
              ))}
            </Menu.RadioGroup>
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
