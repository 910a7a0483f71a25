// @ts-check
/** The token of this tab: where it comes from, where it is stored, and whom it identifies. */
import { claimsOf, randomKey } from "/client/messages.js";

const TOKEN = "token";
const SCOPE = "scope";

/**
 * The token of the address (`#token=…`), or of this tab. A fragment is never sent to a server. It is removed
 * from the address at once, so that it does not stay in the history or in a bookmark either.
 */
export function currentToken() {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given) {
    history.replaceState(null, "", location.pathname);
    keep(decoded(given));
  }
  return sessionStorage.getItem(TOKEN);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Stores a token for this tab. The same user finds the copy again, with the messages that were not sent. */
export function keep(token, user = "") {
  const isSame = sessionStorage.getItem("user") === user.trim();
  const scope = (isSame && sessionStorage.getItem(SCOPE)) || `session-${randomKey()}`;
  sessionStorage.clear();
  sessionStorage.setItem(TOKEN, token.trim());
  sessionStorage.setItem("user", user.trim());
  sessionStorage.setItem(SCOPE, scope);
}

/** Forgets the token; after signing out, also the user and the name of the copy. */
export function forget(isSignedOut) {
  if (isSignedOut) sessionStorage.clear();
  else sessionStorage.removeItem(TOKEN);
}

/**
 * The user and the name of the copy. A JSON Web Token contains both. The session key of another service
 * contains neither: then the user types the id, and the copy belongs to this tab alone.
 */
export function identify(token) {
  const claims = claimsOf(token);
  const user = claims?.sub ?? sessionStorage.getItem("user");
  if (!user) return null;
  const scope = claims ? `application-${claims.app ?? 1}` : sessionStorage.getItem(SCOPE);
  return { user, copy: `client/${scope}/${user}` };
}
