import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultNodeNameFormat, nameIssues, nodeName, nodeNameFormatIssues } from "../../src/core/name.ts";

const anyName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);
const piece = fc.oneof(
  fc.constantFrom("{cluster}", "{index}", "{random}", "{random:4}", "{random:8}", "{random:32}"),
  fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/),
);
const anyFormat = fc
  .array(piece, { minLength: 1, maxLength: 6 })
  .map((pieces) => pieces.join(""))
  .filter((format) => nodeNameFormatIssues(format, []).length === 0);

describe("names", () => {
  test.each(["a", "A-1", "web.prod_2", "0", "x".repeat(128)])("%s → good", (name) => {
    expect(nameIssues(name, ["name"])).toEqual([]);
  });

  test.each([
    ["", "empty"],
    ["x".repeat(129), "129"],
    ["x".repeat(300), "300"],
    ["-a", "begin with"],
    [".a", "begin with"],
    ["a b", "only letters"],
    ["a\0b", "only letters"],
    ["a\nb", "only letters"],
    ["web\n", "only letters"],
    ["wéb", "only letters"],
    ["a/b", "only letters"],
    ["{cluster}", "only letters"],
  ])("%j → refused at its path, with a reason", (name, reason) => {
    const [issue, ...more] = nameIssues(name, ["profile", "name"]);
    expect(more).toEqual([]);
    expect(issue?.path).toEqual(["profile", "name"]);
    expect(issue?.message).toContain(reason);
  });
});

describe("formats of members' names", () => {
  test("any good format → good names of at most 128 characters", () => {
    fc.assert(
      fc.property(anyFormat, anyName, fc.integer({ min: 0, max: 2 ** 31 - 1 }), (format, cluster, index) => {
        const name = nodeName(format, { cluster, index, random: (length) => "abcdefghijklmnopqrstuvwxyz012345".slice(0, length) });
        expect(nameIssues(name, [])).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  test("any good format, any cluster's name, two members → two names", () => {
    fc.assert(
      fc.property(anyFormat, anyName, fc.nat(1_000_000), fc.nat(1_000_000), (format, cluster, a, b) => {
        fc.pre(a !== b);
        const one = nodeName(format, { cluster, index: a, random: (length) => "a".repeat(length) });
        const two = nodeName(format, { cluster, index: b, random: (length) => "b".repeat(length) });
        expect(one).not.toBe(two);
      }),
      { numRuns: 2_000 },
    );
  });

  test("a format that leaves the cluster's name one character → good, and the rest whole", () => {
    const format = "{random:32}{random:32}{cluster}{random:32}{random:21}{index}";
    expect(nodeNameFormatIssues(format, [])).toEqual([]);
    const random = "abcdefghijklmnopqrstuvwxyz012345";
    const name = nodeName(format, { cluster: "web".repeat(40), index: 2 ** 31 - 1, random: (length) => random.slice(0, length) });
    expect(name).toBe(`${random}${random}w${random}${random.slice(0, 21)}2147483647`);
  });

  test("a cluster's name that is cut and ends like an index → its members' names differ all the same", () => {
    const names = [1, 11, 111].map((index) => nodeName("{cluster}{index}", { cluster: "1".repeat(128), index, random: () => "" }));
    expect(new Set(names).size).toBe(3);
  });

  test("the default → good", () => {
    expect(nodeNameFormatIssues(defaultNodeNameFormat, [])).toEqual([]);
    const random = (): never => {
      throw new Error("randomness was taken for a name that holds none");
    };
    expect(nodeName(defaultNodeNameFormat, { cluster: "web", index: 7, random })).toBe("web-7");
  });

  test.each([
    "",
    "{cluster}",
    "{cluster}-{name}",
    "{index",
    "}{index}",
    "a b {index}",
    "-{index}",
    "{random:3}",
    "{random:33}",
    "{cluster}-{random:4}",
    `${"x".repeat(95)}{index}`,
    "{index}\0",
    "{cluster}{random:32}{random:32}{random:32}{random:32}_",
    "{random:32}{random:32}{random:32}{random:32}{cluster}",
    `${"{index}".repeat(12)}${"x".repeat(9)}`,
  ])("%j → refused", (format) => {
    expect(nodeNameFormatIssues(format, ["nodeNameFormat"])).toEqual([{ path: ["nodeNameFormat"], message: expect.any(String) }]);
  });
});
