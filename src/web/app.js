// @ts-check
/** The page: signing in, and after that the messenger. */
import { claimsOf } from "/client/messages.js";
import { $ } from "./dom.js";
import { Messenger } from "./messenger.js";
import { currentToken, forget, identify, keep } from "./session.js";

const WHY = "why";
/** The page opens without its settings after this time. */
const SETTINGS_MS = 2000;

async function begin() {
  const token = currentToken();
  const who = token && identify(token);
  if (!who) return showSignIn(sessionStorage.getItem(WHY) ?? "");
  document.body.dataset.page = "messenger";
  try {
    await Messenger.start({ token, ...who, filesUrl: filesUrl(), onSignedOut: signOut });
  } catch (error) {
    signOut(`This browser keeps no copy of your messages: ${error.message}`);
  }
}

/** Where files are uploaded, as the service says; undefined also if it cannot be asked. */
async function filesUrl() {
  try {
    const answer = await fetch("/web/settings.json", { signal: AbortSignal.timeout(SETTINGS_MS) });
    return (await answer.json()).filesUrl;
  } catch {
    return undefined;
  }
}

function showSignIn(why) {
  document.body.dataset.page = "sign-in";
  $("sign-in-why").textContent = why;
  $("token").addEventListener("input", () => {
    // The user id is needed only if the token does not contain it.
    $("user-row").hidden = !$("token").value.trim() || claimsOf($("token").value) !== null;
  });
  $("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    const [token, user] = [$("token").value.trim(), $("user").value.trim()];
    if (!token || (!claimsOf(token) && !user)) {
      $("sign-in-why").textContent = token ? "The token does not say who you are. Please add your user id." : "Please paste a token.";
      return;
    }
    keep(token, user);
    location.reload();
  });
  $("token").focus();
}

/** Goes back to signing in. A new page has none of the old one's data. */
function signOut(why) {
  forget(!why);
  if (why) sessionStorage.setItem(WHY, why);
  history.replaceState(null, "", location.pathname);
  location.reload();
}

// A link with a token was opened in a tab where a user is signed in already.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});

await begin();
