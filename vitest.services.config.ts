/** `npm run test:services`: tests against servers other than the tests' own PostgreSQL. They fetch what they need themselves. */
import { defineConfig } from "vitest/config";
import ordinary from "./vitest.config.ts";

export default defineConfig({
  ...ordinary,
  test: {
    ...ordinary.test,
    include: ["test/services/**/*.test.ts"],
    exclude: [],
    globalSetup: [],
    // The first time, servers come over the network.
    hookTimeout: 180_000,
    testTimeout: 120_000,
  },
});
