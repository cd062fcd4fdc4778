/** Names ↔ the smallint codes they are stored as. A code is frozen once released and never used again. */

export interface Codec<Name extends string> {
  /** The stored code of a name. */
  code(name: Name): number;
  /** The name of a stored code. Throws for a code this version does not know: it must not guess. */
  name(code: number): Name;
}

export function codec<Name extends string>(noun: string, codes: Readonly<Record<Name, number>>): Codec<Name> {
  const names = new Map<number, Name>();
  for (const [name, code] of Object.entries(codes) as [Name, number][]) {
    if (names.has(code)) throw new Error(`${noun}: code ${code} is used twice`);
    names.set(code, name);
  }
  return {
    code: (name) => codes[name],
    name: (code) => {
      const name = names.get(code);
      if (name === undefined) throw new Error(`${noun}: unknown code ${code}`);
      return name;
    },
  };
}
