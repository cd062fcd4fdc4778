import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brandId, uuidV7 } from "../../src/core/ids.ts";
import { hostLane, hostLanes, laneOf, lanesPerHost, sharedLanes } from "../../src/core/lane.ts";

describe("lanes", () => {
  test("any node → a shared lane, always the same; on a host → one of the host's and of no other's", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(1_000), (uuid, host) => {
        const id = brandId("node", uuid);
        expect(laneOf(id)).toBeGreaterThanOrEqual(0);
        expect(laneOf(id)).toBeLessThan(sharedLanes);
        expect(laneOf(id)).toBe(laneOf(id));
        expect(hostLanes(host)).toContain(hostLane(host, id));
        expect(hostLanes(host + 1)).not.toContain(hostLane(host, id));
      }),
    );
  });

  test("members made one after the other → spread evenly over all lanes", () => {
    const count = 25_600;
    const filled = new Map<number, number>();
    const onHost = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      // Ids as one process mints them: the same millisecond, the next counter.
      const id = brandId("node", uuidV7(1_767_225_600_000 + Math.floor(i / 100), (BigInt(i) << 32n) | 0x1234_5678n));
      filled.set(laneOf(id), (filled.get(laneOf(id)) ?? 0) + 1);
      onHost.set(hostLane(3, id), (onHost.get(hostLane(3, id)) ?? 0) + 1);
    }
    expect(filled.size).toBe(sharedLanes);
    // A hundred each, give or take what chance would.
    expect(Math.max(...filled.values())).toBeLessThan(160);
    expect(Math.min(...filled.values())).toBeGreaterThan(50);
    expect(onHost.size).toBe(lanesPerHost);
    expect(Math.max(...onHost.values())).toBeLessThan((count / lanesPerHost) * 1.1);
  });

  test("known ids → the lanes that are stored", () => {
    expect(laneOf(brandId("node", "01890a5d-ac96-774b-bcce-b302099a8057"))).toBe(laneOf(brandId("cluster", "01890a5d-ac96-774b-bcce-b302099a8057")));
    expect(
      ["01890a5d-ac96-774b-bcce-b302099a8057", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"].map((id) =>
        laneOf(brandId("node", id)),
      ),
    ).toEqual([210, 94, 128]);
  });
});
