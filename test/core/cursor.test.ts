import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareCursors, decodeCursor, encodeCursor, type LedgerCursor, lastOrdinal } from "../../src/core/cursor.ts";

const anyCursor: fc.Arbitrary<LedgerCursor> = fc.record({
  incarnation: fc.nat(0x7fff_ffff),
  position: fc.bigInt({ min: 0n, max: 0x7fff_ffff_ffff_ffffn }),
  ordinal: fc.oneof(fc.nat(1_000_000), fc.constant(lastOrdinal)),
});

describe("the ledger's cursor", () => {
  test("any cursor: written and read → the same", () => {
    fc.assert(
      fc.property(anyCursor, (cursor) => {
        expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor);
      }),
    );
  });

  test("two cursors → in the order of positions, then of ordinals; behind everything at a position means behind", () => {
    fc.assert(
      fc.property(anyCursor, anyCursor, (a, b) => {
        const expected = a.position === b.position ? Math.sign(a.ordinal - b.ordinal) : a.position < b.position ? -1 : 1;
        expect(Math.sign(compareCursors(a, b))).toBe(expected);
        expect(Math.sign(compareCursors(a, { ...a, ordinal: lastOrdinal }))).toBe(a.ordinal === lastOrdinal ? 0 : -1);
      }),
    );
  });

  test("junk → null, never thrown", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ unit: "binary" }),
          fc.array(fc.stringMatching(/^[0-9a-z]{0,14}$/), { maxLength: 5 }).map((parts) => parts.join(".")),
        ),
        (text) => {
          const cursor = decodeCursor(text);
          if (cursor === null) return;
          expect(cursor.position).toBeLessThanOrEqual(0x7fff_ffff_ffff_ffffn);
          expect(cursor.incarnation).toBeLessThanOrEqual(0x7fff_ffff);
          expect(cursor.ordinal).toBeLessThanOrEqual(lastOrdinal);
        },
      ),
    );
    for (const text of [
      "",
      "1",
      "1..",
      "2.1.1.1",
      "1.1.1.-1",
      "1.1.1.1 ",
      "1.zzzzzzz.1.1",
      "1.1.zzzzzzzzzzzzz.1",
      "1.1.1.zz",
      "1.1.1.1z",
      "1.A.1.1",
    ]) {
      expect(decodeCursor(text), text).toBeNull();
    }
  });
});
