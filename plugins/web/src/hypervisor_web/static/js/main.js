// The page: its header, which view is open, and what all views are given.

import * as address from "./address.js";
import * as api from "./api.js";
import { fill, h, say, sheet } from "./dom.js";
import { openHelp } from "./help.js";
import * as keys from "./keys.js";
import { refused } from "./refused.js";

// The name in the address, the module, and the word in the header; without one it has no entry there.
const VIEWS = [
  ["", "live", "Live"],
  ["traces", "traces", "Traces"],
  ["trace", "trace", null],
  ["agents", "agents", "Agents"],
  ["sagas", "sagas", "Sagas"],
  ["session", "session", "Sessions"],
  ["health", "health", "Health"],
];
const PARENTS = { trace: "traces" };

const at = (id) => document.getElementById(id);
const root = at("view");
let current = null; // {name, params, view, module}
let turn = 0; // a view that loads for long must not open after the next one

function announce(text) {
  at("said").textContent = text;
}

/** Go to an address made by `address.href`. */
function go(target) {
  location.hash = target;
}

/** Keep what a view would share in its address, without opening it again. */
function keep(query) {
  const { name, params } = address.parse(location.hash);
  history.replaceState(null, "", address.href([name, ...params], query));
}

/** Put what is shown, such as a trace's name, before the title of the page. */
function called(text) {
  document.title = text ? `${text} – ${place.title}` : place.title;
}

/** Say how the connection stands: `state` is ok, waiting, failed; "" where there is none. */
function connection(state, text) {
  const shown = at("connection");
  shown.dataset.state = state;
  say(shown, text);
}

const place = { title: "Agents" };
let about = null; // what the server says of itself

async function route() {
  const { name, params, query } = address.parse(location.hash);
  const known = VIEWS.find(([one]) => one === name);
  markNav(name);
  if (current && current.name === name && current.view.update && same(current.params, params)) {
    current.view.update({ params, query });
    return;
  }
  turn += 1;
  const own = turn;
  await close();
  if (!known) {
    fill(root, h("section", { class: "words" }, h("h1", {}, "There is no such view"), h("p", {}, "Choose one above.")));
    return;
  }
  let module;
  try {
    module = await import(`./${known[1]}.js`);
    await Promise.all((module.styles ?? []).map(sheet));
  } catch (error) {
    if (own === turn) fill(root, h("section", { class: "words" }, h("h1", {}, `${known[1]} cannot be shown`), h("p", {}, String(error))));
    return;
  }
  if (own !== turn) return;
  called(module.title);
  connection("", "");
  const inside = h("div", { class: `view view-${known[1]}` });
  fill(root, inside);
  const view = module.open({ root: inside, params, query, api, go, keep, announce, called, connection, notice, about });
  current = { name, params, view, module };
  keys.ofView(view.keys);
  root.scrollTop = 0;
}

async function close() {
  const old = current;
  current = null;
  keys.ofView({});
  if (old) await old.view.close();
}

function markNav(name) {
  for (const link of at("nav").querySelectorAll("a")) {
    const own = link.dataset.view === (PARENTS[name] ?? name);
    if (own) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function same(some, others) {
  return some.length === others.length && some.every((one, index) => one === others[index]);
}

const MOST_NOTICES = 5;
const noticed = [];

/** Show what the server has to say, above the view, until the viewer puts it away. */
function notice(text) {
  if (noticed.includes(text)) return;
  noticed.push(text);
  if (noticed.length > MOST_NOTICES) noticed.shift();
  drawNotices();
}

function drawNotices() {
  const away = () => {
    noticed.length = 0;
    drawNotices();
  };
  at("notices").hidden = noticed.length === 0;
  fill(at("notices"), h("div", {}, noticed.map((text) => h("p", {}, text))), h("button", { type: "button", class: "quiet", onclick: away }, "Hide"));
}

async function askAbout() {
  about = await api.get("about");
  place.title = about.title || "Agents";
  say(at("place"), `${about.place ?? ""}${about.reading ? ", being read" : ""}`);
  at("place").title = about.place ?? "";
  about.notices?.forEach(notice);
  if (about.reading) setTimeout(() => askAbout().catch(() => {}), 1_000);
}

async function begin() {
  api.takeToken();
  fill(at("nav"), VIEWS.filter(([, , word]) => word).map(([name, , word]) => h("a", { href: address.href([name]), "data-view": name }, word)));
  at("skip").addEventListener("click", (event) => {
    event.preventDefault();
    root.focus();
  });
  const help = () => openHelp({ ...current?.module, ...current?.view });
  at("help").addEventListener("click", help);
  keys.ofPage({ "?": help });
  keys.listen();
  let isOpen = false;
  window.addEventListener("hashchange", () => {
    // Whoever pastes the printed address over one of this page only changes what follows the `#`.
    if (api.takeToken()) location.reload();
    else if (isOpen) route();
  });
  await api.askTabs();
  try {
    await askAbout();
  } catch (error) {
    if (error.status === 401) {
      await close();
      refused(root, api, () => location.reload());
      return;
    }
    connection("failed", error.text ?? String(error));
  }
  isOpen = true;
  await route();
}

begin();
