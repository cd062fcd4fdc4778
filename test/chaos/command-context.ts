/** Running commands straight on an installation's database, past its API processes. */
import type { CommandContext } from "../../src/commands/command.ts";
import { brandId } from "../../src/core/ids.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { Runtime } from "../../src/core/runtime.ts";
import { createSimDriver } from "../../src/drivers/sim/index.ts";
import type { Database } from "../../src/store/database.ts";
import { createVault } from "../../src/store/vault.ts";
import { silentWake, type Wake } from "../../src/store/wake.ts";
import { createTestLog } from "../support/log.ts";
import type { Installation } from "./installation.ts";

export async function commandContext(installation: Installation, db: Database, runtime: Runtime, wake: Wake = silentWake): Promise<CommandContext> {
  const { id: projectId } = await db.selectFrom("muster.project").select("id").where("name", "=", "default").executeTakeFirstOrThrow();
  return {
    store: { db, runtime, wake, writer: 0 },
    principal: { tokenId: brandId("token", runtime.entropy.uuid()), tokenName: "chaos", projectId, role: "OPERATOR", expiresAtMs: null },
    drivers: new Map([["sim", createSimDriver({ ...runtime, logger: createTestLog() })]]),
    vault: createVault([Buffer.from(installation.vaultKey, "hex")]),
    limits: defaultLimits,
    processPolicy: { mode: "off" },
  };
}
