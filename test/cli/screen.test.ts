import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ClusterView, drawScreen, type MemberView } from "../../src/cli/screen.ts";

const bare = stripVTControlCharacters;
const member = (index: number): MemberView => ({
  name: `web-${index}`,
  status: "ACTIVE",
  health: "HEALTHY",
  pid: String(1000 + index),
  address: `http://127.0.0.1:${40_000 + index}/`,
  reason: null,
});
const cluster = (size: number): ClusterView => ({
  name: "web",
  status: "ACTIVE",
  desired: size,
  active: size,
  healthy: size,
  members: Array.from({ length: size }, (_, index) => member(index)),
});
const hint = "All members are healthy. In another terminal, kill one and watch:\n\n  kill -9 1000";

describe("the screen", () => {
  test("any cluster, any events, any terminal of some size → never taller nor wider than the terminal", () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.array(
          fc.string({ maxLength: 300 }).map((message) => ({ at: new Date(0), level: "INFO", message: message.replaceAll(/[^ -~]/g, "?") })),
          { maxLength: 60 },
        ),
        fc.integer({ min: 20, max: 60 }),
        fc.integer({ min: 40, max: 200 }),
        (size, events, rows, columns) => {
          const lines = drawScreen(cluster(size), events, hint, { columns, rows });
          expect(lines.length).toBeLessThan(rows);
          for (const line of lines) expect(bare(line).length).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  test("more members than fit → says how many are not shown", () => {
    const lines = drawScreen(cluster(50), [], hint, { columns: 100, rows: 24 }).map((line) => bare(line));
    expect(lines.filter((line) => line.startsWith("web-"))).toHaveLength(11);
    expect(lines).toContain("… and 39 more");
  });

  test("the newest events → at the bottom, the oldest make room", () => {
    const events = Array.from({ length: 30 }, (_, index) => ({ at: new Date(0), level: "INFO", message: `event ${index}` }));
    const lines = drawScreen(cluster(5), events, "", { columns: 100, rows: 24 }).map((line) => bare(line));
    expect(lines.some((line) => line.endsWith("event 29"))).toBe(true);
    expect(lines.some((line) => line.endsWith("event 0"))).toBe(false);
  });
});
