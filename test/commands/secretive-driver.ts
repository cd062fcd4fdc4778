/** `sim` under another name, whose spec has secrets at several depths. */
import type { JsonObject } from "../../src/core/json.ts";
import type { Driver } from "../../src/drivers/driver.ts";
import { createSimDriver } from "../../src/drivers/sim/index.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { createTestLog } from "../support/log.ts";

const secretiveSchema: JsonObject = {
  type: "object",
  properties: {
    password: { type: "string", writeOnly: true },
    env: { type: "object", additionalProperties: { type: "string" }, writeOnly: true },
    users: { type: "array", items: { $ref: "#/$defs/user" } },
    note: { type: "string" },
  },
  $defs: {
    user: { type: "object", properties: { name: { type: "string" }, key: { anyOf: [{ type: "string", writeOnly: true }, { type: "null" }] } } },
  },
};

export function secretiveDriver(type = "secretive"): Driver {
  const sim = createSimDriver({ ...realRuntime(), logger: createTestLog() });
  return {
    ...sim,
    type,
    specSchema: secretiveSchema,
    parseSpec: (input) => ({
      spec: { note: "", ...input },
      issues: typeof input["note"] === "number" ? [{ path: ["note"], message: "must be a text" }] : [],
    }),
    probePlan: () => null,
  };
}
