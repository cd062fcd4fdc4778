import { expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { createLaneBook } from "../../src/engine/lane-book.ts";

test("a lane that was found lost under an old epoch → stays ours under the new one; under the same → is let go of", () => {
  const book = createLaneBook();
  book.add(
    new Map([
      [1, 5n],
      [2, 7n],
    ]),
  );
  book.lose(
    new Map([
      [1, 4n],
      [2, 7n],
      [3, 1n],
    ]),
  );
  expect([...book.held]).toEqual([[1, 5n]]);
});

test("nodes in flight → counted for their cluster, each once, and not where no cluster is named", () => {
  const book = createLaneBook();
  const cluster = brandId("cluster", "c");
  for (const id of ["a", "a", "b"]) book.begin(brandId("node", id), 1, cluster);
  book.begin(brandId("node", "swept"), 1, null);
  expect([book.inFlight.size, book.inFlightOf(cluster)]).toEqual([3, 2]);
  for (const id of ["a", "swept"]) book.end(brandId("node", id));
  expect([book.inFlight.size, book.inFlightOf(cluster)]).toEqual([1, 1]);
});
