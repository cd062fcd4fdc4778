/**
 * `npm run test:services`: tests against servers other than the PostgreSQL that Muster brings. They fetch these themselves, so nothing must be
 * installed, but the network, npm and Debian's apt-get must be there the first time.
 */
import { defineConfig, type ViteUserConfig } from "vitest/config";
import { versions } from "./test/services/versions.ts";
import ordinary from "./vitest.config.ts";

const tests = (name: string, more: NonNullable<ViteUserConfig["test"]>): ViteUserConfig => ({
  ...ordinary,
  test: { ...ordinary.test, name, exclude: [], testTimeout: 120_000, hookTimeout: 180_000, ...more },
});

export default defineConfig({
  test: {
    projects: [
      tests("services", { include: ["test/services/*.test.ts"], globalSetup: [] }),
      ...Object.keys(versions).map((major) =>
        tests(`postgres ${major}`, { include: ["test/services/postgres/*.test.ts"], globalSetup: ["test/services/postgres-setup.ts"] }),
      ),
    ],
  },
});
