/** The pure parts of `process`: quoting, placeholders, records, recognising secrets, probes of a spec. */
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brandId, encodeId } from "../../src/core/ids.ts";
import { parseFence, portsText } from "../../src/drivers/process/record.ts";
import { marksOf, parseMarks, redact } from "../../src/drivers/process/redact.ts";
import { quote } from "../../src/drivers/process/shim.ts";
import { graceMsOf, parseProcessSpec, processProbePlan, processSpecSchema } from "../../src/drivers/process/spec.ts";
import { fill, hasUnknownPlaceholder, templateValues } from "../../src/drivers/process/template.ts";
import { runtime } from "../support/driver-node.ts";

const storable = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"));

describe("quoting", () => {
  test("any words → the shell reads them as they were", () => {
    fc.assert(
      fc.property(fc.array(storable, { minLength: 1, maxLength: 20 }), (words) => {
        const printed = execFileSync("sh", ["-s"], { input: `printf '%s\\0' ${words.map(quote).join(" ")}`, encoding: "utf8" });
        expect(printed.split("\0").slice(0, -1)).toEqual(words);
      }),
      { numRuns: 40 },
    );
  });
});

describe("placeholders", () => {
  const node = { id: brandId("node", runtime.entropy.uuid()), name: "web-3", index: 3, clusterName: "web" };
  const values = templateValues(node, new Map([["http", 4711]]));

  test("every kind → filled in, spaces or not; a name that holds a placeholder is not filled again", () => {
    const text = "{{node.name}} {{ node.index }} {{node.id}} {{cluster.name}} {{ports.http}}";
    expect(fill(text, values)).toBe(`web-3 3 ${encodeId("node", node.id)} web 4711`);
    expect(fill("{{cluster.name}}", templateValues({ ...node, clusterName: "{{node.name}}" }, new Map()))).toBe("{{node.name}}");
    expect(fill("{{node.index}}|{{cluster.name}}", templateValues({ ...node, index: null, clusterName: null }, new Map()))).toBe("|");
  });

  test("unknown ones → found, unless they are somebody else's template", () => {
    for (const text of ["{{ports.htp}}", "{{node}}", "{{ node.nam }}"]) expect(hasUnknownPlaceholder(text, ["http"])).toBe(true);
    for (const text of ["{{ports.http}}", "{{.Names}}", "{{}}", "{ports.x}", "plain"]) expect(hasUnknownPlaceholder(text, ["http"])).toBe(false);
  });
});

describe("record", () => {
  test("any record → read back as it was written; anything less is a closed fence", () => {
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/);
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4_194_304 }),
        fc.nat(),
        fc.dictionary(name, fc.integer({ min: 1, max: 65_535 })),
        (pid, start, dictionary) => {
          const ports = new Map(Object.entries(dictionary));
          const line = `muster1 ${pid} ${start} boot.1 abc ${portsText(ports)}\n`;
          expect(parseFence(line)).toEqual({ kind: "member", pid, startTicks: String(start), incarnation: "boot.1", token: "abc", ports });
          for (let cut = 0; cut < line.length; cut++) expect(parseFence(line.slice(0, cut)).kind).toBe("closed");
        },
      ),
    );
  });
});

describe("secrets in output", () => {
  const secret = fc.string({ minLength: 6, maxLength: 40 }).filter((text) => !/[\r\n]/.test(text));

  test("any line around any secrets → none of them is left, and what is no secret stays", () => {
    fc.assert(
      fc.property(fc.array(secret, { minLength: 1, maxLength: 4 }), fc.array(fc.string({ maxLength: 12 })), (secrets, between) => {
        const marks = parseMarks(JSON.stringify(marksOf(secrets, "salt")));
        const line = between.map((text, index) => text + (secrets[index % secrets.length] ?? "")).join("");
        const redacted = redact(line, marks);
        const left = redacted.split("[secret]");
        for (const each of secrets) expect(left.some((part) => part.includes(each))).toBe(false);
        if (!secrets.some((each) => line.includes(each))) expect(redacted).toBe(line);
      }),
    );
  });

  test("what is kept of them → does not hold them; short ones are not taken for secrets", () => {
    expect(JSON.stringify(marksOf(["correct horse battery"], "s"))).not.toContain("horse");
    expect(redact("port 8080 is taken", marksOf(["8080"], "s"))).toBe("port 8080 is taken");
    expect(redact("a secret1secret1 b", marksOf(["secret1"], "s"))).toBe("a [secret][secret] b");
    expect(parseMarks("null")).toEqual({ salt: "", marks: [] });
  });
});

describe("spec", () => {
  test("the contract's example → accepted, with these defaults", () => {
    const { spec, issues } = parseProcessSpec({
      command: ["node", "server.mjs"],
      env: { PORT: "{{ports.http}}" },
      ports: ["http"],
      health: { http: { port: "http" } },
    });
    expect(issues).toEqual([]);
    expect(spec).toEqual({
      command: ["node", "server.mjs"],
      env: { PORT: "{{ports.http}}" },
      publicEnv: {},
      cwd: null,
      ports: ["http"],
      health: {
        http: { port: "http", path: "/" },
        intervalMs: 1_000,
        timeoutMs: 1_000,
        failureThreshold: 3,
        successThreshold: 1,
        startPeriodMs: 10_000,
      },
      stop: { signal: "SIGTERM", graceMs: 5_000 },
    });
  });

  test("probes → of each kind, also while the secrets are sealed", () => {
    const times = { intervalMs: 1_000, timeoutMs: 1_000, failureThreshold: 3, successThreshold: 1, startPeriodMs: 10_000 };
    const sealed = { env: { $sealed: "…" }, command: ["x"] };
    expect(processProbePlan({ ...sealed, health: { tcp: { port: "http" } } })).toEqual({ check: { kind: "tcp", port: "http" }, ...times });
    expect(processProbePlan({ ...sealed, health: { command: ["true"] } })).toEqual({ check: { kind: "command", command: ["true"] }, ...times });
    expect(processProbePlan({ ...sealed, health: null })).toBeNull();
    expect(processProbePlan(sealed)).toBeNull();
    expect(graceMsOf({ ...sealed, stop: { signal: "SIGINT", graceMs: 7 } })).toBe(7);
  });

  test("the schema → env is writeOnly, publicEnv is not", () => {
    const properties = processSpecSchema["properties"];
    expect(properties).toMatchObject({ env: { writeOnly: true } });
    expect(JSON.stringify(properties).match(/writeOnly/g)).toHaveLength(1);
  });
});
