import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/core/limits.ts";
import { TokenAuthenticator, type TokenSource } from "../../src/server/authenticate.ts";
import { peerOf } from "../../src/server/peer.ts";

describe("who is counted as one peer", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002:ffff::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["64:ff9b::192.0.2.7", "64:ff9b:0:0::/64"],
    ["1:2:3:4:5:6:192.0.2.7", "1:2:3:4::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64%eth0"],
    ["", ""],
  ])("%s → %s", (address, peer) => {
    expect(peerOf(address)).toBe(peer);
  });

  test("guessing from ever other addresses of one /64 → slowed as one; the next /64 → not", async () => {
    const source: TokenSource = { find: async () => null, stillGood: async () => new Set(), used: () => undefined };
    const authenticator = new TokenAuthenticator(source, { monotonicMs: () => 0 }, { ...defaultLimits, failedLoginsPerMinute: 3 });
    const guess = async (n: number, network: string): Promise<string> =>
      (await authenticator.authenticate(`Bearer guess-${network}-${n}`, `2001:db8:0:${network}::${n}`)).kind;
    expect([await guess(1, "a"), await guess(2, "a"), await guess(3, "a"), await guess(4, "a")]).toEqual(["refused", "refused", "refused", "slowed"]);
    expect(await guess(5, "b")).toBe("refused");
  });
});
