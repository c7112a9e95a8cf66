// What the page says to a viewer without the token, and how to get one.

import { fill, h } from "./dom.js";

/** Show it in `root`; `again` is called once another token was given. */
export function refused(root, api, again) {
  const field = h("input", { id: "token", class: "wide", type: "password", autocomplete: "off", spellcheck: "false" });
  const take = () => {
    const text = field.value.trim();
    if (!text) return;
    api.setToken(/token=([^&]*)/.exec(text)?.[1] ?? text);
    again();
  };
  field.addEventListener("keydown", (event) => event.key === "Enter" && take());
  fill(
    root,
    h(
      "section",
      { class: "words", "aria-labelledby": "refused" },
      h("h1", { id: "refused" }, "This page needs its token"),
      h("p", {}, "Open the address that ", h("code", {}, "hvobs serve"), " printed when it started, or that the program logged. It ends in ", h("code", {}, "#token=…"), "."),
      h("p", {}, "A server that was started again has another token, unless its configuration sets one."),
      h("p", {}, h("label", { for: "token" }, "Address or token "), field, " ", h("button", { type: "button", onclick: take }, "Open")),
    ),
  );
  document.title = "Token needed – Agents";
}
