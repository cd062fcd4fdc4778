/** As much of PostgreSQL's wire protocol as the proxy needs: where messages begin and end, and which statement a client sends. */

/** Splits a stream into messages; what is not complete yet waits. */
export class MessageSplitter {
  private pending = Buffer.alloc(0);
  /** Until the first message of a client has come, which has no type byte. */
  private untyped: boolean;

  constructor(startsUntyped: boolean) {
    this.untyped = startsUntyped;
  }

  push(chunk: Buffer): Message[] {
    this.pending = Buffer.concat([this.pending, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const prefix = this.untyped ? 0 : 1;
      if (this.pending.length < prefix + 4) return messages;
      const end = prefix + this.pending.readInt32BE(prefix);
      if (this.pending.length < end) return messages;
      const bytes = this.pending.subarray(0, end);
      messages.push({ type: this.untyped ? "startup" : String.fromCharCode(bytes[0] ?? 0), bytes });
      this.pending = this.pending.subarray(end);
      // A request for TLS is answered with one byte and followed by the real first message.
      if (this.untyped && !(end === 8 && bytes.readInt32BE(4) === sslRequest)) this.untyped = false;
    }
  }
}

const sslRequest = 80_877_103;

export interface Message {
  /** "startup", or the protocol's letter. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** The text of a statement that a client's message carries, or null. */
export function statementText(message: Message): string | null {
  if (message.type === "Q") return cString(message.bytes, 5);
  if (message.type !== "P") return null;
  const nameEnd = message.bytes.indexOf(0, 5);
  return cString(message.bytes, nameEnd + 1);
}

/** The statement's name (the comment it begins with), or its first word in lower case. */
export function statementName(text: string): string {
  const named = /^\s*\/\*\s*([a-z0-9._-]+)\s*\*\//.exec(text);
  return named?.[1] ?? text.trim().split(/\s+/)[0]?.toLowerCase().replace(/;$/, "") ?? "";
}

/** A parameter of the first message, such as application_name. */
export function startupParameter(message: Message, name: string): string {
  const parts = message.bytes.subarray(8).toString("utf8").split("\0");
  const at = parts.indexOf(name);
  return at >= 0 ? (parts[at + 1] ?? "") : "";
}

function cString(bytes: Buffer, from: number): string {
  const end = bytes.indexOf(0, from);
  return bytes.subarray(from, end < 0 ? bytes.length : end).toString("utf8");
}
