/** A time for people: this machine's local time with its distance from UTC, `2026-11-25 18:51:16 +01:00`. */
export function describeTime(at: Date): string {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)} ${zoneOf(at)}`;
}

/** The same without the day: `18:51:16 +01:00`. */
export function describeTimeOfDay(at: Date): string {
  return describeTime(at).slice(11);
}

function zoneOf(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const pad = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`;
}
