import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { createVault, isMaskOf, keyIdOf, maskSpec, openSpec, resealSpec, sealSpec, WrongKey } from "../../src/store/vault.ts";

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const idOf = (one: Uint8Array): string => createVault([one]).keyIds()[0] ?? "";
const profile = brandId("profile", "00000000-0000-7000-8000-000000000001");
const schema: JsonObject = { type: "object", additionalProperties: { writeOnly: true } };
const sealedIn = (spec: JsonObject, name: string): JsonObject => spec[name] as JsonObject;

describe("a vault of several keys", () => {
  test("any keys, any of them sealing in any order → every value opens with any vault that has its key, and with no other", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(4)),
        fc.jsonValue(),
        (bytes, order, plain) => {
          const vault = createVault(bytes.map(key));
          for (const at of order) {
            const byte = bytes[at % bytes.length] ?? 0;
            expect(vault.follow(idOf(key(byte)))).toBe(true);
            const sealed = vault.seal(JSON.parse(JSON.stringify(plain)), "here");
            expect(keyIdOf(sealed)).toBe(idOf(key(byte)));
            expect(createVault([key(0), key(byte)]).open(sealed, "here")).toEqual(JSON.parse(JSON.stringify(plain)));
            expect(() => createVault([key(0)]).open(sealed, "here")).toThrow(WrongKey);
            expect(() => vault.open(sealed, "there")).toThrow(WrongKey);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test("a key that it does not know → is looked for where keys are kept; what is not there changes nothing", () => {
    let kept = [key(1)];
    const vault = createVault([key(1)], () => kept);
    const sealed = createVault([key(2)]).seal("x", "here");
    expect(() => vault.open(sealed, "here")).toThrow(WrongKey);
    expect(vault.follow(idOf(key(2)))).toBe(false);
    expect(keyIdOf(vault.seal("y", "here"))).toBe(idOf(key(1)));
    kept = [key(2)];
    expect(vault.open(sealed, "here")).toBe("x");
    expect(vault.follow(idOf(key(2)))).toBe(true);
    expect(keyIdOf(vault.seal("y", "here"))).toBe(idOf(key(2)));
    expect(vault.keyIds()).toEqual([idOf(key(1)), idOf(key(2))]);
  });

  test("an error about a missing key → names ids, no key", () => {
    const sealed = createVault([key(0xcd)]).seal("x", "here");
    expect(() => createVault([key(0xab)]).open(sealed, "here")).toThrow(new RegExp(`${idOf(key(0xcd))}.*${idOf(key(0xab))}`));
    expect(() => createVault([key(0xab)]).open(sealed, "here")).not.toThrow(/abab|cdcd/);
  });
});

describe("a spec sealed anew", () => {
  const both = createVault([key(2), key(1)]);
  const former = sealSpec(createVault([key(1)]), profile, schema, { a: "one", b: ["two"] });

  test("every value, once → opens with the new key alone; a second time → nothing to do", () => {
    const { spec, values, left } = resealSpec(both, profile, former);
    expect({ values, left }).toEqual({ values: 2, left: 0 });
    expect(openSpec(createVault([key(2)]), profile, spec)).toEqual({ a: "one", b: ["two"] });
    expect(resealSpec(both, profile, spec)).toEqual({ spec, values: 0, left: 0 });
  });

  test("masks → are the new key's, as of a spec that was never sealed otherwise; the old ones are still recognised", () => {
    const { spec } = resealSpec(both, profile, former);
    expect(maskSpec(spec)).toEqual(maskSpec(sealSpec(createVault([key(2)]), profile, schema, { a: "one", b: ["two"] })));
    const mask = String(sealedIn(former, "a")["mask"]);
    expect(mask).not.toBe(sealedIn(spec, "a")["mask"]);
    expect(isMaskOf(both, profile, ["a"], "one", mask)).toBe(true);
    expect(isMaskOf(both, profile, ["a"], "two", mask)).toBe(false);
    expect(isMaskOf(createVault([key(2)]), profile, ["a"], "one", mask)).toBe(false);
  });

  test("a value that no key opens → stays as it is, and is counted; the others are sealed anew", () => {
    const lost = sealSpec(createVault([key(9)]), profile, schema, { c: "three" });
    const { spec, values, left } = resealSpec(both, profile, { ...former, ...lost });
    expect({ values, left }).toEqual({ values: 2, left: 1 });
    expect(spec["c"]).toEqual(lost["c"]);
  });
});
