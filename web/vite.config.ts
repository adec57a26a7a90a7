import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const server = process.env.CARTWHEEL_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': { target: server, ws: true },
      '/readyz': server,
    },
  },
  build: {
    // public/ holds a .gitkeep, so that the directory which Go embeds is still
    // in the repository after a build has emptied and filled it.
    outDir: 'dist',
    emptyOutDir: true,
    // The edge's content security policy allows no data: URL but images.
    assetsInlineLimit: 0,
    target: 'es2023',
    // One sheet for all pages is 11 KB, and comes with the first: none can be
    // missing, or late, when a page's script arrives.
    cssCodeSplit: false,
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/testing/setup.ts'],
    testTimeout: 30_000,
    restoreMocks: true,
  },
});
