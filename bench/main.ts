/**
 * `npm run bench`: what the README quotes, measured on this machine with real processes: `muster start` with its embedded PostgreSQL (fsync on), asked over
 * HTTP and WebSocket. Prints a table and, last, one line of JSON.
 *
 *   npm run bench                      the everyday figures; `-- --quick` takes a tenth of everything, to see whether it works
 *   npm run bench -- scale [members]   one cluster of a million members, or of so many
 *   npm run bench -- takeover [members]  how long work stands still when a worker or PostgreSQL is struck, with 10,000 of 12,000 members being made
 *   npm run bench -- supersede [seconds]  500 changes a second of one cluster of 10,000 for a minute; `--quick`: 100 of one of 1,000 for 5 s
 *   npm run bench -- clusters [count]  100,000 clusters of 10 from nothing to ACTIVE; `--quick`: 1,000
 *   npm run bench -- vacuum [members]  three changes and three checks of each of 1,000,000 members: what the tables grow to; `--quick`: 5,000
 *   npm run bench -- single [members]  30,000 members made and taken away by a driver that takes one per call; `--quick`: 2,000, once
 *   npm run bench -- fair [members]  changes of a cluster of three at rest, and while one of 100,000 grows, one member per call; `--quick`: 5,000
 *   npm run bench -- subscribers [count]  `kill -9` of a real member → the frame at each of 1,000 subscribers; `--quick`: 100
 *   npm run bench -- profile [members]  where the time goes, by module and by statement: making, a single wish, checking, a page; 100,000; `--quick`: 5,000
 *   npm run bench -- peers [jobs]  beside graphile-worker and pg-boss, which it fetches from npm: 100,000 no-op jobs, one job, a killed worker; `--quick`: 2,000
 */
import { benchClusters } from "./clusters.ts";
import { benchEveryday } from "./everyday.ts";
import { benchFair } from "./fair.ts";
import { benchPeers } from "./peers.ts";
import { benchProfile } from "./profile.ts";
import { benchScale } from "./scale.ts";
import { benchSingle } from "./single.ts";
import { benchSubscribers } from "./subscribers.ts";
import { benchSupersede } from "./supersede.ts";
import { benchTakeover } from "./takeover.ts";
import { benchVacuum } from "./vacuum.ts";

const [scenario, size] = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const quick = process.argv.includes("--quick");
if (scenario === undefined) await benchEveryday(quick);
else if (scenario === "scale") await benchScale(Number(size ?? 1_000_000));
else if (scenario === "takeover") await benchTakeover(Number(size ?? 12_000));
else if (scenario === "supersede") await benchSupersede(Number(size ?? (quick ? 5 : 60)), quick);
else if (scenario === "clusters") await benchClusters(Number(size ?? (quick ? 1_000 : 100_000)));
else if (scenario === "vacuum") await benchVacuum(Number(size ?? (quick ? 5_000 : 1_000_000)));
else if (scenario === "single") await benchSingle(Number(size ?? (quick ? 2_000 : 30_000)), quick);
else if (scenario === "fair") await benchFair(Number(size ?? (quick ? 5_000 : 100_000)), quick);
else if (scenario === "subscribers") await benchSubscribers(Number(size ?? (quick ? 100 : 1_000)), quick);
else if (scenario === "profile") await benchProfile(Number(size ?? (quick ? 5_000 : 100_000)));
else if (scenario === "peers") await benchPeers(Number(size ?? (quick ? 2_000 : 100_000)), quick);
else throw new Error(`there is no bench ${scenario}`);
