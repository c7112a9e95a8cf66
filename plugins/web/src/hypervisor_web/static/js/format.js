// Numbers, durations, costs and times as text, the same in every view.

const counts = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });

/** 12345 as "12,345". */
export function count(number) {
  return counts.format(number);
}

/** "1 event", "12,345 events". */
export function many(number, one, more = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : more}`;
}

/** A duration in microseconds, as `hvobs tree` writes it: "250 us", "12 ms", "3.20 s", "4 m 05 s", "2 h 10 m". */
export function duration(us) {
  const micro = Math.max(0, Math.round(us));
  if (micro < 1_000) return `${micro} us`;
  const milli = Math.round(us / 1e3);
  if (milli < 1_000) return `${milli} ms`;
  const seconds = us / 1e6;
  if (Math.round(seconds * 100) < 6_000) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} m ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 100 ? `${hours} h ${two(minutes % 60)} m` : `${hours} h`;
}

/** A cost: "$0.0042", "$1.20"; "~" before it where it is estimated. */
export function money(dollars, estimated = false) {
  const digits = dollars !== 0 && Math.abs(dollars) < 1 ? 4 : 2;
  return `${estimated ? "~" : ""}$${dollars.toFixed(digits)}`;
}

/** Bytes: "512 B", "1.5 KiB", "64 MiB". */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let left = number;
  while (left >= 1024 && at < units.length - 1) [left, at] = [left / 1024, at + 1];
  return `${at && left < 10 ? left.toFixed(1) : Math.round(left)} ${units[at]}`;
}

/** A time of the day in the viewer's zone, to the millisecond: "14:03:59.123". */
export function time(us) {
  return valid(us) ? `${clock.format(us / 1000)}.${String(Math.floor(us / 1000) % 1000).padStart(3, "0")}` : "?";
}

/** A moment in the viewer's zone: "2026-05-04 14:03:59". */
export function moment(us) {
  return valid(us) ? `${day.format(us / 1000)} ${clock.format(us / 1000)}` : "?";
}

/** A moment in UTC, to the microsecond: for titles. */
export function utc(us) {
  if (!valid(us)) return `${us} us since the epoch`;
  const micro = String(us % 1000).padStart(3, "0");
  return `${new Date(us / 1000).toISOString().replace("T", " ").replace("Z", micro)} UTC`;
}

/** How long ago: "now", "12 s ago", "3 m ago", "in 5 s". */
export function ago(us, nowUs) {
  const seconds = Math.round((nowUs - us) / 1e6);
  if (seconds < 0) return `in ${span(-seconds)}`;
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

/** Now, in microseconds since the epoch. */
export function now() {
  return Date.now() * 1000;
}

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${count(Math.floor(seconds / 86_400))} d`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

// What JavaScript can write as a date: 273,785 years around the epoch; 0 to the year 9999 here.
function valid(us) {
  return Number.isSafeInteger(us) && us >= 0 && us < 253_402_300_800_000_000;
}
