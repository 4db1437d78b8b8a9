/** Times, costs and sizes for people, rounded as on the command line. */

export function time(ms: number): string {
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function about(ms: number): string {
  const s = Math.max(1, Math.round(ms / 1000));
  if (s < 60) return `~${s} s`;
  return s < 7200 ? `~${Math.round(s / 60)} min` : `~${Math.round(s / 3600)} h`;
}

export const dollars = (usd: number): string => (usd < 0.01 ? "<$0.01" : `$${usd.toFixed(2)}`);

export const size = (bytes: number): string => (bytes < 1024 ? `${bytes} bytes` : `${Math.round(bytes / 1024)} kB`);

export const words = (state: string): string => state.replaceAll("_", " ");

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

export function ago(iso: string): string {
  const by = new Date(iso).getTime() - Date.now();
  for (const [unit, ms] of UNITS) if (Math.abs(by) >= ms) return relative.format(Math.round(by / ms), unit);
  return "just now";
}

export const moment = (iso: string): string =>
  new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
