import { useEffect } from 'react';
import { text } from '../text';

/** Names the page in the browser's tab and history. */
export function useTitle(page: string): void {
  useEffect(() => {
    document.title = text.title(page);
  }, [page]);
}
