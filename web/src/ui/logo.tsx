/** A cartwheel. */
export function Logo() {
  return (
    <svg width="22" height="22" viewBox="0 0 32 32" fill="none" stroke="var(--accent)" strokeWidth="2.75" strokeLinecap="round" aria-hidden="true">
      <circle cx="16" cy="16" r="12.5" />
      <path d="M16 3.5v25M5.2 9.75l21.6 12.5M5.2 22.25l21.6-12.5" />
      <circle cx="16" cy="16" r="3" fill="var(--accent)" />
    </svg>
  );
}
