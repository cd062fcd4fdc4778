/** What a peer's address says about who it is. Pure. */
import { isIPv6 } from "node:net";

/**
 * Who is counted as one peer: an IPv4 address, or the /64 of an IPv6 one, which is what one line or one machine gets, with more
 * addresses in it than could ever be counted one by one.
 */
export function peerOf(address: string): string {
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [bare = "", zone] = address.split("%");
  if (!isIPv6(bare)) return address;
  const [head = "", tail] = bare.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const front = groups(head);
  const back = groups(tail ?? "");
  // An IPv4 address at the end stands for two groups.
  const written = front.length + back.length + (bare.includes(".") ? 1 : 0);
  const gap = tail === undefined ? 0 : 8 - written;
  const all = [...front, ...Array.from({ length: gap }, () => "0"), ...back];
  const prefix = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${prefix.join(":")}::/64${zone === undefined ? "" : `%${zone}`}`;
}
