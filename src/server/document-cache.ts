/**
 * Parsed documents by their text, those that came twice. Programs that write values into their documents send each only once, and what parsing makes
 * of a text weighs many times as much. yoga's own cache counts documents; a thousand of a megabyte each would be a gigabyte.
 */

/** Characters kept in all. A console's documents together are some tens of thousands. */
const charactersKept = 1_000_000;
/** Of texts that came once. */
const charactersSeen = 2_000_000;
/** Longer documents are parsed each time: they are made by programs that write values into them, and never come twice. */
const longestKept = 50_000;

export class DocumentCache<V> {
  private readonly seen = new Recent<true>(charactersSeen);
  private readonly kept = new Recent<V>(charactersKept);

  get(text: string): V | undefined {
    return this.kept.get(text);
  }

  set(text: string, value: V): void {
    if (text.length > longestKept) return;
    if (this.seen.get(text) === undefined) this.seen.set(text, true);
    else this.kept.set(text, value);
  }
}

/** Values by text, the most recently used ones, as far as their texts are not too long together. */
class Recent<V> {
  private readonly entries = new Map<string, V>();
  private readonly most: number;
  private characters = 0;

  constructor(most: number) {
    this.most = most;
  }

  get(text: string): V | undefined {
    const value = this.entries.get(text);
    if (value === undefined) return undefined;
    this.entries.delete(text);
    this.entries.set(text, value);
    return value;
  }

  set(text: string, value: V): void {
    if (!this.entries.has(text)) this.characters += text.length;
    this.entries.delete(text);
    this.entries.set(text, value);
    for (const oldest of this.entries.keys()) {
      if (this.characters <= this.most) break;
      this.entries.delete(oldest);
      this.characters -= oldest.length;
    }
  }
}
