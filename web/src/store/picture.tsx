import type { LucideIcon } from 'lucide-react';
import {
  Apple, Bean, Beef, Carrot, Cherry, ChefHat, Citrus, Coffee, Cookie, CookingPot, Croissant, CupSoda, Droplets, Egg, Fish, GlassWater, IceCreamCone, Leaf, Milk,
  Nut, Package, Pizza, Salad, Snowflake, Soup, Utensils, Wheat,
} from 'lucide-react';
import type { Product } from '../api/products';
import styles from './picture.module.css';

// The shop has no photographs, and asks nobody else for any: a product is drawn as
// a sign on a colour of its own. What is not known here gets its storage's sign.
const signs: [pattern: RegExp, sign: LucideIcon, hue: number][] = [
  [/espresso-beans|filter-coffee|grinder|espresso-machine/, Coffee, 50],
  [/tea$/, Leaf, 145],
  [/oat|wheat|spaghetti|muesli/, Wheat, 85],
  [/rice/, Soup, 75],
  [/oil/, Droplets, 110],
  [/salt/, Utensils, 230],
  [/passata|tomato/, Cherry, 25],
  [/chickpeas|hummus/, Bean, 70],
  [/chocolate/, Cookie, 40],
  [/honey/, Nut, 80],
  [/bread|rolls/, Croissant, 65],
  [/water/, GlassWater, 220],
  [/milk|yoghurt/, Milk, 250],
  [/butter|gouda|parmesan|cheese/, Package, 92],
  [/egg/, Egg, 60],
  [/salmon|fish/, Fish, 20],
  [/juice/, Citrus, 62],
  [/salad|spinach/, Salad, 140],
  [/tofu/, Beef, 30],
  [/peas/, Carrot, 135],
  [/ice/, IceCreamCone, 330],
  [/berries/, Cherry, 350],
  [/pizza/, Pizza, 30],
  [/knife|board/, ChefHat, 200],
  [/pan|mixer/, CookingPot, 260],
  [/kettle/, CupSoda, 215],
  [/truffle/, Apple, 310],
];

const storageSigns: Record<Product['storage'], [LucideIcon, number]> = { ambient: [Package, 80], chilled: [Milk, 220], frozen: [Snowflake, 240] };

export function Picture({ product, size = 'card' }: { product: Pick<Product, 'sku' | 'storage'>; size?: 'card' | 'line' }) {
  const known = signs.find(([pattern]) => pattern.test(product.sku));
  const [Sign, hue] = known ? [known[1], known[2]] : storageSigns[product.storage];
  return (
    <span className={styles.picture} data-size={size} style={{ '--hue': hue } as React.CSSProperties} aria-hidden="true">
      <Sign strokeWidth={1.25} />
    </span>
  );
}
