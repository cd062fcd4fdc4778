/** `npm run chaos -- --minutes 10 --seed 1`: prints what was done and what it came to; ends with 1 when something is broken. */
import { parseArgs } from "node:util";
import { realRuntime } from "../../src/main/runtime.ts";
import { type ChaosResult, runChaos } from "./chaos.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "3" },
    apis: { type: "string", default: "2" },
    clients: { type: "string", default: "4" },
    /** Between two faults, on average, ms. */
    every: { type: "string", default: "1500" },
  },
});
/** How many of the reasons why mutations were refused are told. */
const reasons = 8;
const seed = Number(values.seed);
console.log(`seed ${seed}: the same faults and the same requests every time; how they interleave is this machine's doing`);
const result = await runChaos(
  {
    seed,
    stormMs: Number(values.minutes) * 60_000,
    everyMs: Number(values.every),
    workers: Number(values.workers),
    apis: Number(values.apis),
    clients: Number(values.clients),
  },
  realRuntime(),
);
print(result);
process.exit(result.broken.length === 0 ? 0 : 1);

function print({ mutations, faults, provider, events, resumed, takeovers, settledMs, broken, folder }: ChaosResult): void {
  const longest = new Map<string, { n: number; ms: number }>();
  for (const { kind, ms } of takeovers) {
    const former = longest.get(kind) ?? { n: 0, ms: 0 };
    longest.set(kind, { n: former.n + 1, ms: Math.max(former.ms, ms) });
  }
  const rows: (readonly [string, string | number])[] = [
    ["mutations asked", mutations.asked],
    ["… accepted", mutations.accepted],
    ["… refused (rightly: see what is broken)", mutations.refused],
    ...mutations.refusals.slice(0, reasons).map(([why, n]) => [`… … ${why}`, n] as const),
    ["… answers lost, and asked again", mutations.repeated],
    ...[...faults].map(([kind, n]) => [`fault ${kind}`, n] as const),
    ["provider calls", provider.calls],
    ["members made", provider.created],
    ["effects refused for an old token", provider.fencedOff],
    ["events, each told once", events],
    ["times the subscriber came back", resumed],
    ...[...longest].map(([kind, { n, ms }]) => [`longest takeover after ${kind}, undisturbed (${n})`, `${Math.round(ms)} ms`] as const),
    ["from the last fault to rest", `${Math.round(settledMs)} ms`],
  ];
  console.log("\n| what | value |\n|---|---|");
  for (const [what, value] of rows) console.log(`| ${what} | ${value} |`);
  if (broken.length === 0) console.log("\nEvery invariant held.");
  else
    console.log(
      `\nBROKEN:\n${broken
        .slice(0, 50)
        .map((what) => `- ${what}`)
        .join("\n")}\n(${broken.length} in all) The database is kept: npx tsx test/support/reopen.ts ${folder}`,
    );
}
