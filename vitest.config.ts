import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: {
    // Else our files and their dependencies get one copy of graphql each ("from another module or realm").
    alias: [{ find: /^graphql$/, replacement: "graphql/index.js" }],
  },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/services/**"],
    globalSetup: ["test/support/global-setup.ts"],
    setupFiles: ["test/support/failure-watch.ts"],
    pool: "forks",
    // Real processes and a real PostgreSQL share the machine with the tests.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    chaiConfig: { truncateThreshold: 400 },
  },
});
