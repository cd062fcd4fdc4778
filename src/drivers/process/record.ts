/** What `epoch-N` says: who runs under this epoch, or that nobody ever will. Written by the shim (`shim.ts`) or a closer. Pure. */

export interface MemberRecord {
  readonly kind: "member";
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: with the incarnation it tells this process from every other that had or will have its pid. */
  readonly startTicks: string;
  readonly incarnation: string;
  readonly token: string;
  readonly ports: ReadonlyMap<string, number>;
}

export type Fence = MemberRecord | { readonly kind: "closed" };

export const closedText = "closed\n";

/** A member's record appears whole or not at all, so anything else, also nothing, was put there to close the epoch. */
export function parseFence(text: string): Fence {
  const [format, pid, startTicks, incarnation, token, ports] = text.trimEnd().split(" ");
  const number = Number(pid);
  if (format !== "muster1" || !text.endsWith("\n") || !Number.isSafeInteger(number) || number < 2) return { kind: "closed" };
  if (startTicks === undefined || incarnation === undefined || token === undefined || ports === undefined) return { kind: "closed" };
  return { kind: "member", pid: number, startTicks, incarnation, token, ports: parsePorts(ports) };
}

export function portsText(ports: ReadonlyMap<string, number>): string {
  return ports.size === 0 ? "-" : [...ports].map(([name, port]) => `${name}=${port}`).join(",");
}

function parsePorts(text: string): Map<string, number> {
  if (text === "-") return new Map();
  return new Map(
    text.split(",").map((pair): [string, number] => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), Number(pair.slice(at + 1))];
    }),
  );
}
