// Before the first paint: the visitor's choice of light or dark, where there is
// one. A file of its own because the content security policy allows no script in
// a page. See src/shell/theme.ts.
try {
  const theme = localStorage.getItem('cartwheel.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system's preference holds
}
