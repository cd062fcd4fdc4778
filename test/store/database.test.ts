import { once } from "node:events";
import { createServer } from "node:net";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { openDatabase } from "../../src/store/database.ts";
import { isAbsence } from "../../src/store/failure.ts";

/** A message of PostgreSQL's protocol: its letter, its length, its body. */
function message(letter: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(letter), length, body]);
}

test("a server that lets in and throws out in one breath → the statement fails as with any absence, and nothing else does", async () => {
  const fatal = ["SFATAL", "VFATAL", "C57P01", "Mterminating connection due to unexpected postmaster exit", ""].join("\0");
  const breath = Buffer.concat([
    message("R", Buffer.alloc(4)),
    message("Z", Buffer.from("I")),
    message("E", Buffer.concat([Buffer.from(fatal), Buffer.alloc(1)])),
  ]);
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(breath));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on a port");
  const db = openDatabase({ url: `postgres://muster@127.0.0.1:${address.port}/muster`, size: 1, applicationName: "test" });
  const failure: unknown = await sql`select 1`.execute(db).catch((error: unknown) => error);
  expect(isAbsence(failure)).toBe(true);
  await db.destroy();
  server.close();
});
