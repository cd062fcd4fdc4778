/** Which profile types a caller may use here, and why not. */
import { type Refusal, refused } from "../core/errors.ts";
import { mayAct, type Principal } from "../core/principal.ts";
import type { CommandContext, ProcessPolicy } from "./command.ts";
import { forbidden } from "./command.ts";

/** The one type whose members are commands of the user's choice, run on our own hosts. */
const processType = "process";

/**
 * Why a caller may not make profiles of a type, or null.
 * @param projectName the caller's project
 */
export function profileTypeProblem(
  policy: ProcessPolicy,
  principal: Pick<Principal, "role">,
  projectName: string,
  type: string,
): { readonly kind: "off" | "role"; readonly reason: string } | null {
  if (type !== processType || mayAct(principal.role, "OPERATOR")) return type === processType && policy.mode === "off" ? processOff : null;
  if (policy.mode === "off") return processOff;
  if (policy.mode !== "on" && policy.mode.includes(projectName)) return null;
  return { kind: "role", reason: "Profiles that run commands take the role OPERATOR, or a project that MUSTER_PROCESS names." };
}

const processOff = { kind: "off", reason: "This installation runs no commands: MUSTER_PROCESS is off." } as const;

/** The refusal of a profile type that is unknown here, switched off, or not for this caller. */
export function refuseProfileType(
  context: CommandContext,
  projectName: string,
  type: string,
  path: readonly string[],
): { readonly ok: false; readonly refusal: Refusal } | null {
  if (!context.drivers.has(type)) {
    const known = [...context.drivers.keys()].sort().join(", ");
    return refused({ kind: "InvalidInput", issues: [{ path, message: `must be a profile type of this installation: ${known}` }] });
  }
  const problem = profileTypeProblem(context.processPolicy, context.principal, projectName, type);
  if (problem === null) return null;
  if (problem.kind === "role") {
    const refusal = forbidden("OPERATOR");
    return { ...refusal, refusal: { kind: "Forbidden", needs: "OPERATOR", message: problem.reason } };
  }
  return refused({ kind: "Unsupported", operation: type, message: problem.reason, path });
}

/** The refusal of making members of a profile whose type cannot be carried out here. */
export function refuseMaking(context: CommandContext, type: string): { readonly ok: false; readonly refusal: Refusal } | null {
  if (!context.drivers.has(type))
    return refused({ kind: "Unsupported", operation: type, message: `This installation has no profile type ${type}.`, path: ["profile"] });
  if (type === processType && context.processPolicy.mode === "off") {
    return refused({ kind: "Unsupported", operation: type, message: processOff.reason, path: ["profile"] });
  }
  return null;
}
