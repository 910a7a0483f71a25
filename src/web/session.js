/** The token of this tab: where it comes from, where it is kept, and whom it stands for. */

const TOKEN = "token";
const SCOPE = "scope";

/**
 * The token of the address (`#token=…`), or of this tab. A fragment is never sent to a server; it is taken
 * out of the address at once, so that it does not stay in the history or in a bookmark either.
 */
export function currentToken() {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given) {
    keep(decodeURIComponent(given));
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(TOKEN);
}

export function keep(token, user = "") {
  sessionStorage.clear();
  sessionStorage.setItem(TOKEN, token.trim());
  sessionStorage.setItem("user", user.trim());
  sessionStorage.setItem(SCOPE, `session-${key()}`);
}

export function forget() {
  sessionStorage.clear();
}

/**
 * The user and the name of the copy. A JSON Web Token tells both. The session key of another service
 * tells nothing: then the person says who it is, and the copy belongs to this tab alone.
 */
export function identify(token) {
  const claims = claimsOf(token);
  const user = claims?.sub ?? sessionStorage.getItem("user");
  if (!user) return null;
  const scope = claims ? `application-${claims.app ?? 1}` : sessionStorage.getItem(SCOPE);
  return { user, copy: `messages/${scope}/${user}` };
}

/** What a JSON Web Token says; null for any other token. Nobody checks its signature here: the service does. */
export function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims.sub === "string" ? claims : null;
  } catch {
    return null;
  }
}

/** A key that nobody else makes. (`crypto.randomUUID` is missing where a page comes without TLS.) */
export function key() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
