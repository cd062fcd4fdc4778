/**
 * The ledger's cursor: format version, ledger incarnation, position, ordinal. Opaque to clients, the same for
 * history and streams. A position is one committed transaction; the ordinal counts events inside it from 1; ordinal `last` means
 * "after all of that position".
 */

export interface LedgerCursor {
  readonly incarnation: number;
  readonly position: bigint;
  readonly ordinal: number;
}

/** Larger than any ordinal: the cursor stands behind everything at its position. */
export const lastOrdinal = 2 ** 31 - 1;

const version = "1";
const pattern = /^1\.([0-9a-z]{1,7})\.([0-9a-z]{1,13})\.([0-9a-z]{1,6})$/;

export function encodeCursor(cursor: LedgerCursor): string {
  const ordinal = cursor.ordinal === lastOrdinal ? "z" : cursor.ordinal.toString(35);
  return `${version}.${cursor.incarnation.toString(36)}.${cursor.position.toString(36)}.${ordinal}`;
}

/** null for anything that is not a cursor this version writes. Never throws. */
export function decodeCursor(text: string): LedgerCursor | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const [, incarnation = "", position = "", ordinal = ""] = match;
  if (ordinal !== "z" && /[z]/.test(ordinal)) return null;
  let value = 0n;
  for (const digit of position) value = value * 36n + BigInt(Number.parseInt(digit, 36));
  if (value > 0x7fff_ffff_ffff_ffffn) return null;
  const parsed = {
    incarnation: Number.parseInt(incarnation, 36),
    position: value,
    ordinal: ordinal === "z" ? lastOrdinal : Number.parseInt(ordinal, 35),
  };
  return parsed.incarnation > 0x7fff_ffff || parsed.ordinal > lastOrdinal ? null : parsed;
}

/** Negative, zero, positive: as the ledger orders them. Only within one incarnation. */
export function compareCursors(a: LedgerCursor, b: LedgerCursor): number {
  if (a.position !== b.position) return a.position < b.position ? -1 : 1;
  return a.ordinal - b.ordinal;
}
