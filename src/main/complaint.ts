/** What a person has to put right: printed as it is, without a stack, and the program ends with 1. Everything else that is thrown is a bug. */
export class Complaint extends Error {
  override readonly name = "Complaint";
}

/** The code of a failed system call (`EACCES`, `ENOENT`, …), or null. */
export function systemCode(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}

/** The sentence of any error. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Somebody asked to end before everything was up: no failure, and nothing to say. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
