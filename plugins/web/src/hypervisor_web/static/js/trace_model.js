// A trace as the server tells it, as arrays that are fast to look through: one entry a piece of work,
// in the order of the tree, a parent before its children.

const TROUBLE = new Set(["failed", "refused"]);

/** Read an answer of `/api/trace`. `at` is the time of this machine when it came, in milliseconds. */
export function read(answer, at) {
  const { columns, texts } = answer;
  const size = columns.depth.length;
  const depth = Int32Array.from(columns.depth);
  const parent = new Int32Array(size).fill(-1);
  const end = new Int32Array(size); // the row behind the last one below it
  const begun = Float64Array.from(columns.begun);
  const ended = Float64Array.from(columns.ended, (one) => one ?? NaN);
  const trouble = new Uint8Array(size);
  const running = new Uint8Array(size);
  const troubled = new Set([...TROUBLE].map((word) => texts.indexOf(word)));
  const around = [];
  let last = 0;
  let troubles = 0;
  let goOn = 0;
  for (let row = 0; row < size; row += 1) {
    while (around.length > depth[row]) end[around.pop()] = row;
    if (around.length) parent[row] = around[around.length - 1];
    around.push(row);
    if (Number.isNaN(ended[row])) {
      running[row] = 1;
      goOn += 1;
    }
    last = Math.max(last, running[row] ? begun[row] : ended[row]);
    if (troubled.has(columns.state[row])) {
      trouble[row] = 1;
      troubles += 1;
    }
  }
  for (const row of around) end[row] = size;
  const sparse = (name) => new Map(columns[name].at.map((row, place) => [row, columns[name].value[place]]));
  const model = {
    answer, texts, columns, size, depth, parent, end, begun, ended, trouble, running, last, troubles, goOn, at,
    ring: sparse("ring"), details: sparse("details"), reason: sparse("reason"), telling: sparse("telling"),
    tokens: sparse("tokens"), cost: sparse("cost"), link: sparse("link"),
  };
  model.culprits = culprits(model);
  return model;
}

// What went wrong itself: not what only holds something that did, unless it has a reason of its own.
function culprits(model) {
  const holds = new Uint8Array(model.size);
  const found = [];
  for (let row = model.size - 1; row >= 0; row -= 1) {
    const above = model.parent[row];
    if (above >= 0 && (model.trouble[row] || holds[row])) holds[above] = 1;
    if (model.trouble[row] && (!holds[row] || model.telling.has(row))) found.push(row);
  }
  return Int32Array.from(found.reverse());
}

/** The first failure by time, else the first refusal; -1 where nothing went wrong. */
export function firstTrouble(model) {
  let best = -1;
  for (const row of model.culprits) {
    if (best < 0 || rank(model, row) < rank(model, best)) best = row;
  }
  return best;
}

function rank(model, row) {
  const later = text(model, "state", row) === "failed" ? 0 : 1e18;
  return later + (Number.isNaN(model.ended[row]) ? model.begun[row] : model.ended[row]);
}

/** A text of a row: its kind, title, state or word, or one of those that few rows have. */
export function text(model, column, row) {
  const held = model[column] instanceof Map ? model[column].get(row) : model.columns[column][row];
  return held === undefined ? "" : model.texts[held];
}

/** The agent of a row: `{did, name}`; null where there is none. */
export function agent(model, row) {
  return model.answer.agents[model.columns.agent[row]] ?? null;
}

/** Whether something stands below a row. */
export function hasBelow(model, row) {
  return model.end[row] > row + 1;
}

/** Now on the server, in microseconds since the trace began; `at` as for `read`. */
export function nowIn(model, at) {
  return model.answer.now - model.answer.begun + Math.max(0, at - model.at) * 1_000;
}

/** Whether a row took no time by its nature: an incident, a decision, a handoff. */
export function isPoint(model, row) {
  return !model.running[row] && model.ended[row] === model.begun[row];
}

/** How long a row took so far, in microseconds. */
export function took(model, row, now) {
  return Math.max(0, (model.running[row] ? now : model.ended[row]) - model.begun[row]);
}

/**
 * The rows that are shown: `only` is "failed", "running" or "" for all; `folded` holds the keys of
 * rows whose inside is not shown. What is chosen is shown with all that is around it.
 */
export function visible(model, only, folded) {
  const chosen = only ? withAround(model, only === "failed" ? model.trouble : model.running) : null;
  const rows = new Int32Array(model.size);
  let count = 0;
  let row = 0;
  while (row < model.size) {
    if (chosen && !chosen[row]) {
      row = model.end[row];
      continue;
    }
    rows[count] = row;
    count += 1;
    row = folded.has(model.columns.key[row]) ? model.end[row] : row + 1;
  }
  return rows.subarray(0, count);
}

function withAround(model, wanted) {
  const found = Uint8Array.from(wanted);
  for (let row = model.size - 1; row >= 0; row -= 1) {
    if (found[row] && model.parent[row] >= 0) found[model.parent[row]] = 1;
  }
  return found;
}

/** The place of `row` among `rows`, which rise; where it is not, that of the nearest row around it. */
export function placeOf(model, rows, row) {
  for (let wanted = row; wanted >= 0; wanted = model.parent[wanted]) {
    const place = search(rows, wanted);
    if (rows[place] === wanted) return place;
  }
  return -1;
}

function search(rows, wanted) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
