import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brandId, decodeId, encodeId, eventId, eventKey, formatUuid, type IdPrefix, isUuid, parseId, uuidV7 } from "../../src/core/ids.ts";

const prefixes: readonly IdPrefix[] = ["project", "token", "profile", "cluster", "node", "action", "event", "worker", "host", "ptype", "viewer"];
const anyUuid = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map(formatUuid);
const anyPrefix = fc.constantFrom(...prefixes);

describe("ids", () => {
  test("any UUID under any prefix: written and read → the same, and under no other prefix", () => {
    fc.assert(
      fc.property(anyUuid, anyPrefix, anyPrefix, (uuid, prefix, other) => {
        const text = encodeId(prefix, brandId(prefix, uuid));
        expect(text).toMatch(/^[a-z]+_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
        expect(parseId(text)).toEqual({ prefix, uuid });
        expect(decodeId(prefix, text)).toBe(uuid);
        if (other !== prefix) expect(decodeId(other, text)).toBeNull();
      }),
    );
  });

  test("known values → the TypeIDs that everybody else writes", () => {
    // From the specification's own list of valid TypeIDs.
    expect(encodeId("node", brandId("node", "00000000-0000-0000-0000-00000000000a"))).toBe("node_0000000000000000000000000a");
    expect(encodeId("node", brandId("node", "ffffffff-ffff-ffff-ffff-ffffffffffff"))).toBe("node_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    expect(encodeId("node", brandId("node", "01890a5d-ac96-774b-bcce-b302099a8057"))).toBe("node_01h455vb4pex5vsknk084sn02q");
  });

  test("junk → null, never thrown", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ unit: "binary" }),
          fc.tuple(anyPrefix, fc.string()).map(([prefix, tail]) => `${prefix}_${tail}`),
        ),
        (text) => {
          const parsed = parseId(text);
          if (parsed !== null) expect(encodeId(parsed.prefix, brandId(parsed.prefix, parsed.uuid))).toBe(text);
        },
      ),
    );
    for (const text of [
      "",
      "_",
      "node_",
      "node",
      "node_8zzzzzzzzzzzzzzzzzzzzzzzzz",
      "Node_0000000000000000000000000a",
      "node_0000000000000000000000000A",
      "toString_0000000000000000000000000a",
      "node__0000000000000000000000000a",
      "node_0000000000000000000000000i",
    ]) {
      expect(parseId(text), text).toBeNull();
    }
  });

  test("UUIDs of growing times → grow, are version 7 and variant 2", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), fc.nat(2 ** 31), fc.bigInt({ min: 0n, max: (1n << 74n) - 1n }), (a, b, bits) => {
        const [first, second] = [uuidV7(a * 1_000, bits), uuidV7(b * 1_000, bits)];
        expect(isUuid(first)).toBe(true);
        expect(first[14]).toBe("7");
        expect("89ab").toContain(first[19]);
        expect(Math.sign(first < second ? -1 : first > second ? 1 : 0)).toBe(Math.sign(a - b));
      }),
    );
  });

  test("an event's id → tells its batch, ordinal and time", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), fc.bigInt({ min: 0n, max: (1n << 48n) - 1n }), fc.nat(2 ** 26 - 1), (atMs, batch, ordinal) => {
        expect(eventKey(eventId(atMs, batch, ordinal))).toEqual({ batch, ordinal, occurredAtMs: atMs });
      }),
    );
  });
});
