/** Parsed documents by their text. yoga's own cache counts documents; a thousand of a megabyte each would be a gigabyte. */

/** Characters kept in all. A console's documents together are some tens of thousands. */
const charactersKept = 8_000_000;
/** Longer documents are parsed each time: they are made by programs that write values into them, and never come twice. */
const longestKept = 50_000;

export class DocumentCache<V> {
  private readonly entries = new Map<string, V>();
  private characters = 0;

  get(text: string): V | undefined {
    const value = this.entries.get(text);
    if (value === undefined) return undefined;
    this.entries.delete(text);
    this.entries.set(text, value);
    return value;
  }

  set(text: string, value: V): void {
    if (text.length > longestKept) return;
    if (!this.entries.has(text)) this.characters += text.length;
    this.entries.delete(text);
    this.entries.set(text, value);
    for (const oldest of this.entries.keys()) {
      if (this.characters <= charactersKept) break;
      this.entries.delete(oldest);
      this.characters -= oldest.length;
    }
  }
}
