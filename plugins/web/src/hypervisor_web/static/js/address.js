// Addresses of views: `#/trace/ID?only=failed`.

/** Read the part of an address after `#`: `{name, params, query}`; the name of `#/` is "". */
export function parse(hash) {
  const text = hash.replace(/^#/, "");
  const [path, query = ""] = split(text, "?");
  const [name = "", ...params] = path.replace(/^\//, "").split("/").map(decode);
  return { name, params, query: Object.fromEntries(new URLSearchParams(query)) };
}

/**
 * Write an address: `href(["trace", id], {only: "failed"})`. Each part is encoded; empty values of
 * `query` are left out.
 */
export function href(parts, query = {}) {
  const path = parts.map((part) => encodeURIComponent(part)).join("/");
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "" && value !== false) asked.set(key, value);
  }
  const rest = asked.toString();
  return `#/${path}${rest ? `?${rest}` : ""}`;
}

/** The address of LIVE with one option of the filter, such as `live("agent", did)`. */
export function live(option, value) {
  return href([""], { filter: `--${option} ${quoted(value)}` });
}

/** Write a value as the filter reads it: in quotes where it needs them. */
export function quoted(value) {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'"'"'`)}'`;
}

function split(text, at) {
  const found = text.indexOf(at);
  return found < 0 ? [text] : [text.slice(0, found), text.slice(found + 1)];
}

/** Decode a part of an address. */
export function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a `%` that encodes nothing stands for itself
  }
}
