// The words of a filter, as the server reads them: parted by spaces, in quotes where they hold some.

/** Part `text` into words: `{text, start, end}`; an open quote reaches to the end. */
export function words(text) {
  const found = [];
  let one = null;
  let quote = "";
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (quote) {
      if (letter === quote) quote = "";
      else one.text += letter;
    } else if (/\s/.test(letter)) {
      if (one) found.push({ ...one, end: at });
      one = null;
      continue;
    } else {
      one ??= { text: "", start: at };
      if (letter === '"' || letter === "'") quote = letter;
      else one.text += letter;
    }
  }
  if (one) found.push({ ...one, end: text.length });
  return found;
}

/** Whether the filter has an option that takes no value, such as `--wrong`. */
export function has(text, option) {
  return words(text).some((one) => one.text === option);
}

/** The filter with that option, or without it. */
export function toggled(text, option) {
  const own = words(text).filter((one) => one.text === option);
  if (own.length === 0) return `${text.trim()} ${option}`.trim();
  let left = text;
  for (const { start, end } of own.reverse()) left = left.slice(0, start) + left.slice(end);
  return left.replace(/\s+/g, " ").trim();
}

/** The filter with `option value` in place of what it said there. */
export function narrowed(text, option, written) {
  const all = words(text);
  const at = all.findIndex((one) => one.text === option);
  if (at < 0) return `${text.trim()} ${option} ${written}`.trim();
  const end = all[at + 1]?.end ?? all[at].end;
  return `${text.slice(0, all[at].start)}${option} ${written}${text.slice(end)}`.trim();
}
