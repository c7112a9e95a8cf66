// How the connection stands, in words.

/** What `page.connection` takes, for a state of `api.stream`. */
export function connectionWords({ state, seconds, why, status }) {
  switch (state) {
    case "connected":
      return ["ok", "connected"];
    case "waiting":
      return ["waiting", `${why}: again in ${seconds} s`];
    case "hidden":
      return ["waiting", "rests while the tab is hidden"];
    default:
      return ["failed", status === 401 ? "the token is refused: open the address that the server printed" : why];
  }
}
