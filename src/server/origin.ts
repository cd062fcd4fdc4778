/**
 * Which names we answer to, and which pages may call us from a browser. Both are checked on every request and WebSocket upgrade:
 * the first against DNS rebinding, the second because a browser lets any page open a WebSocket.
 */

const loopbackNames: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

/** True for an address that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return loopbackNames.has(host.toLowerCase()) || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The name in a Host header: without its port, in lower case; null where it is none. */
function hostName(header: string | undefined): string | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.exec(header ?? "");
  return match?.[1]?.toLowerCase().replace(/\.$/, "") ?? null;
}

/** An address, not a name: nobody can rebind it. */
function isAddress(name: string): boolean {
  return name.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(name);
}

/** True where the Host header says a name of ours: loopback, an address, the one we listen on, or one that was configured. */
export function isKnownHost(header: string | undefined, names: readonly string[]): boolean {
  const name = hostName(header);
  if (name === null) return false;
  return loopbackNames.has(name) || name.endsWith(".localhost") || isAddress(name) || names.some((known) => known.toLowerCase() === name);
}

/**
 * True where a page of this origin may call us: our own pages, and those on the list.
 * @param origin the Origin header; absent outside of browsers
 * @param allowed origins such as `https://console.example`, `http://localhost:*` for every port
 */
export function isAllowedOrigin(origin: string | undefined, hostHeader: string | undefined, allowed: readonly string[]): boolean {
  if (origin === undefined) return true;
  const match = /^(https?:\/\/)(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.exec(origin);
  if (match === null) return false;
  const [, scheme = "", host = "", port = ""] = match;
  if (`${host}${port}`.toLowerCase() === hostHeader?.toLowerCase()) return true;
  const text = `${scheme}${host}`.toLowerCase();
  return allowed.some((entry) => {
    const wanted = entry.toLowerCase();
    return wanted.endsWith(":*") ? wanted.slice(0, -2) === text : wanted === `${text}${port}`;
  });
}

/** The list where none was configured: pages of this machine, if only this machine can reach us. */
export function defaultOrigins(host: string): readonly string[] {
  return isLoopback(host) ? ["http://localhost:*", "http://127.0.0.1:*"] : [];
}
