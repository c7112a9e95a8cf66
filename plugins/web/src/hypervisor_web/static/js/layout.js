// Where things stand on the time axis: numbers only, so that what is drawn can be tested.

const LEAST_BAR = 2; // pixels: what is shorter can still be seen
const POINT = 9;
const LEAST_WINDOW_US = 10;
const STEPS = [1, 2, 5];
const DAY = 86_400e6;

/** The part of time that is shown: `zoom` is `{from, to}` in microseconds, or null for all of `total`. */
export function windowOf(zoom, total) {
  return zoom ?? { from: 0, to: Math.max(total, 1) };
}

/** The pixel of a moment, of `width` pixels. */
export function xOf(us, shown, width) {
  return ((us - shown.from) / (shown.to - shown.from)) * width;
}

/** The moment of a pixel. */
export function usOf(x, shown, width) {
  return shown.from + (x / width) * (shown.to - shown.from);
}

/**
 * The box of a row within `width` pixels, or null where it lies outside of what is shown.
 *
 * `row`: `{begun, ended, running}`, times in microseconds, `ended` of what runs is now. `shape` is
 * "point" for what took no time by its nature, else "bar"; `before` and `after` say that it is cut off.
 */
export function boxOf(row, shown, width) {
  if (row.ended < shown.from || row.begun > shown.to) return null;
  const x = xOf(row.begun, shown, width);
  if (row.isPoint) return { shape: "point", x: x - POINT / 2, w: POINT, before: false, after: false, open: false };
  const left = Math.max(0, Math.min(x, width - LEAST_BAR));
  const right = Math.min(width, Math.max(xOf(row.ended, shown, width), left + LEAST_BAR));
  const after = row.ended > shown.to;
  return { shape: "bar", x: left, w: right - left, before: row.begun < shown.from, after, open: row.running && !after };
}

/** Zoom by `factor` (above 1: closer) around the moment `about`; null where all is shown. */
export function zoomed(shown, total, factor, about) {
  const long = Math.max(LEAST_WINDOW_US, (shown.to - shown.from) / factor);
  if (long >= total) return null;
  const share = (about - shown.from) / (shown.to - shown.from);
  return within(about - share * long, long, total);
}

/** Move what is shown by a share of its length. */
export function moved(shown, total, share) {
  const long = shown.to - shown.from;
  if (long >= total) return null;
  return within(shown.from + share * long, long, total);
}

function within(from, long, total) {
  const begin = Math.min(Math.max(0, from), Math.max(0, total - long));
  return { from: begin, to: begin + long };
}

/** Round moments for the axis, some `apart` pixels from each other: `{first, step}` in microseconds. */
export function ticks(shown, width, apart = 90) {
  const least = ((shown.to - shown.from) / Math.max(1, width)) * apart;
  const step = roundUp(Math.max(least, 1));
  return { first: Math.ceil(shown.from / step) * step, step };
}

function roundUp(us) {
  // Seconds by tens, minutes and hours by their own round parts.
  for (const seconds of [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400]) {
    if (us > 5e5 && us <= seconds * 1e6) return seconds * 1e6;
  }
  return us > DAY ? DAY * byTens(us / DAY) : byTens(us);
}

function byTens(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return (STEPS.find((one) => one * power >= number) ?? 10) * power;
}

/** What a tick is called: exactly its moment. */
export function tickText(us, step) {
  if (us === 0) return "0";
  if (step >= DAY) return `${us / DAY} d`;
  if (us < 1e3) return `${us} us`;
  if (us < 1e6) return `${short(us / 1e3)} ms`;
  const minutes = Math.floor(us / 6e7);
  if (!minutes) return `${short(us / 1e6)} s`;
  const [hours, seconds] = [Math.floor(minutes / 60), short((us - minutes * 6e7) / 1e6)];
  const least = step % 6e7 ? ` ${seconds} s` : "";
  return hours ? `${hours} h ${minutes % 60} m${least}` : `${minutes} m${least}`;
}

function short(number) {
  return String(Number(number.toFixed(6)));
}

/**
 * How busy each of `count` equal parts of time is: `busy` of each, the most of all, and which hold
 * something that went wrong.
 */
export function bins(model, total, now, count) {
  const change = new Float64Array(count + 1);
  const wrong = new Uint8Array(count);
  const place = (us) => Math.min(count - 1, Math.max(0, Math.floor((us / total) * count)));
  for (let row = 0; row < model.size; row += 1) {
    const ended = model.running[row] ? now : model.ended[row];
    const last = place(ended);
    change[place(model.begun[row])] += 1;
    change[last + 1] -= 1;
    if (model.trouble[row]) wrong[last] = 1;
  }
  const busy = new Float64Array(count);
  let most = 0;
  for (let bin = 0, sum = 0; bin < count; bin += 1) {
    sum += change[bin];
    busy[bin] = sum;
    most = Math.max(most, sum);
  }
  return { busy, most, wrong };
}

/** Read `FROM-TO` of an address; null where it is none. */
export function readZoom(text) {
  const found = /^(\d{1,15})-(\d{1,15})$/.exec(text ?? "");
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return to - from >= 1 ? { from, to } : null;
}

/** Write it; empty where all is shown. */
export function writeZoom(zoom) {
  return zoom ? `${Math.floor(zoom.from)}-${Math.ceil(zoom.to)}` : "";
}
