// @ts-check
/** Has the browser keep the page, so that it opens without the network. */

const WORKER = "/web/worker.js";

/** Pages without TLS cannot. */
export async function keepPage() {
  if (!navigator.serviceWorker) return;
  // The policy of the page allows this file and no other.
  const policy = globalThis.trustedTypes?.createPolicy("worker", { createScriptURL: () => WORKER });
  await navigator.serviceWorker.register(policy?.createScriptURL(WORKER) ?? WORKER, { scope: "/" });
}
