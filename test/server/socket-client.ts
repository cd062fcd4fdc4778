/** A client of graphql-transport-ws that hides nothing, for tests. */
import { WebSocket } from "ws";

export interface SocketMessage {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** A client that keeps what it got and lets a test wait for it. */
export class SocketClient {
  readonly socket: WebSocket;
  readonly messages: SocketMessage[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  private waiting: (() => void)[] = [];
  private end: { code: number; reason: string } | null = null;

  constructor(url: string, options: { headers?: Record<string, string>; protocol?: string } = {}) {
    this.socket = new WebSocket(url, options.protocol ?? "graphql-transport-ws", { headers: options.headers ?? {} });
    this.socket.on("message", (data) => {
      this.messages.push(JSON.parse(String(data)));
      this.wake();
    });
    this.socket.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => {
        this.end = { code, reason: String(reason) };
        resolve(this.end);
        this.wake();
      });
    });
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  async opened(): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await new Promise((resolve, reject) => this.socket.once("open", resolve).once("error", reject));
    return this;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async until(found: (message: SocketMessage) => boolean): Promise<SocketMessage> {
    for (;;) {
      const message = this.messages.find(found);
      if (message !== undefined) return message;
      if (this.end !== null) throw new Error(`closed (${this.end.code} ${this.end.reason}) before it came`);
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /** Connects with a token and waits for the acknowledgement. */
  async greet(token: string): Promise<this> {
    await this.opened();
    this.send({ type: "connection_init", payload: { authorization: `Bearer ${token}` } });
    await this.until((message) => message.type === "connection_ack");
    return this;
  }

  subscribe(id: string, query: string, variables?: unknown): void {
    this.send({ type: "subscribe", id, payload: { query, variables } });
  }
}
