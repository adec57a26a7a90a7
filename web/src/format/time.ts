import { locale, text } from '../text';

const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const full = new Intl.DateTimeFormat(locale, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', timeZoneName: 'short',
});

const monthDay = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const month = new Intl.DateTimeFormat(locale, { month: 'short', year: 'numeric', timeZone: 'UTC' });
const minute = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** A day as the API names it, 2026-11-09: 9 Nov. A month, 2026-11: Nov 2026. */
export function formatDay(day: string): string {
  return (day.length === 7 ? month : monthDay).format(new Date(day));
}

/** The minute of a moment, in milliseconds: 14:03. */
export function formatMinute(at: number): string {
  return minute.format(new Date(at));
}

/** 14:03:27 for today, 9 Nov, 14:03 for other days. */
export function formatWhen(at: string, now: number): string {
  const date = new Date(at);
  return date.toDateString() === new Date(now).toDateString() ? clock.format(date) : day.format(date);
}

/** 9 Nov 2026, 14:03:27 GMT: leaves no question. */
export function formatMoment(at: string): string {
  return full.format(new Date(at));
}

/** just now, 42 s ago, 3 min ago, 5 h ago, 12 d ago. */
export function formatAgo(at: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(at)) / 1000);
  if (seconds < 2) return text.time.justNow; // also for a server whose clock is ahead of ours
  if (seconds < 60) return text.time.secondsAgo(seconds);
  if (seconds < 3600) return text.time.minutesAgo(Math.floor(seconds / 60));
  if (seconds < 48 * 3600) return text.time.hoursAgo(Math.floor(seconds / 3600));
  return text.time.daysAgo(Math.floor(seconds / 86400));
}

/** How long until a moment: 29 min 12 s, 42 s, 3 h 5 min; nothing when it has passed. */
export function formatLeft(until: string, now: number): string {
  const seconds = Math.ceil((Date.parse(until) - now) / 1000);
  if (seconds <= 0) return '';
  return text.time.left(Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60);
}

/** The distance of two moments: +0 ms, +412 ms, +2.31 s, +3 min 20 s, +2 h 5 min. */
export function formatOffset(from: string, to: string): string {
  const ms = Date.parse(to) - Date.parse(from);
  const [sign, size] = ms < 0 ? ['−', -ms] : ['+', ms];
  if (size < 1000) return `${sign}${size} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(2)} s`;
  const seconds = Math.floor(size / 1000);
  if (seconds < 3600) return `${sign}${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${sign}${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
