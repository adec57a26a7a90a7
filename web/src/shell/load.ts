const waits = [200, 400, 800, 1_600, 3_200, 6_400];

/**
 * Loads a page's script. The network may be away for a moment just when a visitor
 * goes to the page, and a script that did not come is not asked for again by the
 * browser.
 */
export async function patiently<T>(load: () => Promise<T>): Promise<T> {
  for (const wait of waits) {
    try {
      return await load();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  return load();
}
