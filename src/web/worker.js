// @ts-check
/**
 * Keeps the page loadable without the network: its files come from the service, or else as they came last. What the
 * page calls besides is not touched.
 */
const FILES = "files";
/** A network that is there and does not answer is none. */
const PATIENCE_MS = 4000;

const scope = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

scope.addEventListener("install", () => scope.skipWaiting());
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));
scope.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const isFile = pathname === "/" || pathname.startsWith("/web/") || pathname.startsWith("/client/");
  if (event.request.method === "GET" && origin === location.origin && isFile) event.respondWith(find(event.request));
});

/** A notification was chosen: shows its conversation, in a tab that is open if there is one. */
scope.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(`/${event.notification.data}`));
});

async function open(address) {
  const [page] = await scope.clients.matchAll({ type: "window" });
  if (!page) return scope.clients.openWindow(address);
  await page.focus();
  await page.navigate(address);
}

async function find(request) {
  const files = await caches.open(FILES);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    // What the service refuses while it starts or stops is no file.
    if (!answer.ok) throw new TypeError(`${answer.status}`);
    await files.put(request, answer.clone());
    return answer;
  } catch {
    // Away: the file as it came last, if it ever did.
    return (await files.match(request, { ignoreVary: true })) ?? Response.error();
  }
}
