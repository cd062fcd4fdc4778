import { describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import type { Principal } from "../../src/core/principal.ts";
import { goodForMs } from "../../src/server/authenticate.ts";
import { checkEveryMs, Presence } from "../../src/server/presence.ts";

function principal(last: string): Principal {
  const uuid = (noun: string): string => `00000000-0000-7000-8000-0000000000${noun}${last}`;
  return { tokenId: brandId("token", uuid("1")), tokenName: "t", projectId: brandId("project", uuid("2")), role: "READER", expiresAtMs: null };
}

describe("presence", () => {
  test("a revocation: felt within a second, by what is remembered and by how often is looked", () => {
    expect(goodForMs).toBeLessThan(1_000);
    expect(checkEveryMs).toBeLessThan(1_000);
  });

  test("n connections of a token → taken, the next → refused; one leaves, however often it says so → room for one", () => {
    const presence = new Presence(2);
    const leave = presence.enter(principal("1"), () => undefined);
    expect(presence.enter(principal("1"), () => undefined)).not.toBe(null);
    expect(presence.enter(principal("1"), () => undefined)).toBe(null);
    expect(presence.enter(principal("2"), () => undefined)).not.toBe(null);
    leave?.();
    leave?.();
    expect(presence.enter(principal("1"), () => undefined)).not.toBe(null);
    expect(presence.enter(principal("1"), () => undefined)).toBe(null);
  });

  test("a token dies → all its connections are ended, once, and nobody else's", async () => {
    const presence = new Presence(10);
    const ended: string[] = [];
    presence.enter(principal("1"), () => ended.push("a"));
    presence.enter(principal("1"), () => ended.push("b"));
    presence.enter(principal("2"), () => ended.push("c"));
    const stillGood = async (): Promise<ReadonlySet<Principal["tokenId"]>> => new Set([principal("2").tokenId]);
    await presence.check({ stillGood });
    await presence.check({ stillGood });
    expect(ended).toEqual(["a", "b"]);
  });

  test("nobody is connected → nobody is asked after", async () => {
    const presence = new Presence(10);
    await presence.check({ stillGood: () => Promise.reject(new Error("asked")) });
  });
});
