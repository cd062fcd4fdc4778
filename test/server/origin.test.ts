import { describe, expect, test } from "vitest";
import { defaultOrigins, isAllowedOrigin, isKnownHost, isLoopback } from "../../src/server/origin.ts";

describe("origins", () => {
  test.each([
    [undefined, "x", [], true],
    ["https://a.example", "b.example", ["https://a.example"], true],
    ["https://A.Example", "b.example", ["https://a.example"], true],
    ["https://a.example:8443", "b.example", ["https://a.example"], false],
    ["https://a.example:8443", "b.example", ["https://a.example:*"], true],
    ["https://a.example", "b.example", ["https://a.example:*"], true],
    ["https://b.example", "b.example", [], true],
    ["https://b.example:444", "b.example", [], false],
    ["null", "b.example", ["null", "*"], false],
    ["https://a.example/path", "b.example", ["https://a.example"], false],
    ["javascript:alert(1)", "b.example", [], false],
    ["", "b.example", [], false],
  ])("origin %s at host %s with %j → %s", (origin, host, allowed, expected) => {
    expect(isAllowedOrigin(origin, host, allowed)).toBe(expected);
  });

  test("nothing configured: on loopback this machine's pages, else none", () => {
    expect(defaultOrigins("127.0.0.1")).toEqual(["http://localhost:*", "http://127.0.0.1:*"]);
    expect(defaultOrigins("0.0.0.0")).toEqual([]);
  });
});

describe("hosts", () => {
  test.each(["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:4000", "192.168.0.7:4000", "my.name", "My.Name.:1", "x.localhost"])(
    "%s → known",
    (host) => {
      expect(isKnownHost(host, ["my.name"])).toBe(true);
    },
  );
  test.each([undefined, "", "evil.example", "my.name.evil", "evil/my.name", "my.name@evil", "localhost:999999", "a\r\nb"])("%s → unknown", (host) => {
    expect(isKnownHost(host, ["my.name"])).toBe(false);
  });
  test("loopback addresses", () => {
    expect(["127.0.0.1", "127.1.2.3", "localhost", "::1"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "::", "10.0.0.1", "example"].some(isLoopback)).toBe(false);
  });
});
