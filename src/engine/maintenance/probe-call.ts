/** One probe: does it answer, in time? Nothing is followed, nothing is kept, and a reply is read no further than its head. */
import http from "node:http";
import net from "node:net";

export interface ProbeResult {
  readonly ok: boolean;
  /** For people; no more than a line. */
  readonly message: string;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** GET; 200 … 399 is well. Redirects are not followed. Never rejects. */
export function probeHttp(address: Address, path: string, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const request = http.get(
      { ...address, path, agent: false, timeout: timeoutMs, signal, headers: { "user-agent": "muster-probe", connection: "close" } },
      (response) => {
        const status = response.statusCode ?? 0;
        response.destroy();
        resolve({ ok: status >= 200 && status < 400, message: `HTTP ${status}` });
      },
    );
    // `timeout` of the socket starts over with each byte; this one does not.
    const deadline = AbortSignal.timeout(timeoutMs);
    deadline.addEventListener("abort", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), { once: true });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on("error", (error) => resolve({ ok: false, message: reasonOf(error) }));
  });
}

/** Connects; that is all. Never rejects. */
export function probeTcp(address: Address, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = net.connect({ ...address, signal });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
    socket.on("connect", () => {
      socket.destroy();
      resolve({ ok: true, message: "connected" });
    });
    socket.on("error", (error) => resolve({ ok: false, message: reasonOf(error) }));
  });
}

/** A system error's code says it best; its message repeats the address. */
function reasonOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
