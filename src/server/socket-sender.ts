/**
 * Sends on one WebSocket, and knows how it drains. A send is done when the operating system has taken it, so whoever waits for it
 * goes no faster than the client reads. While too much waits, nothing more is read from this client: its pings and queries would only
 * add answers.
 */
import type { WebSocket } from "ws";

export class SocketSender {
  private readonly socket: WebSocket;
  private readonly most: number;
  /** Set by everything that shows the client to be alive: a pong, or bytes it took. */
  private progress = true;

  /** @param most bytes that may wait before reading stops */
  constructor(socket: WebSocket, most: number) {
    this.socket = socket;
    this.most = most;
    socket.on("pong", () => {
      this.progress = true;
    });
  }

  /** Never rejects: a socket that breaks says so by its `close`. */
  send(text: string): Promise<void> {
    const { socket } = this;
    if (socket.readyState !== socket.OPEN) return Promise.resolve();
    return new Promise((resolve) => {
      socket.send(text, (error) => {
        if (error === undefined || error === null) this.progress = true;
        if (socket.isPaused && socket.bufferedAmount <= this.most / 2) socket.resume();
        resolve();
      });
      if (!socket.isPaused && socket.bufferedAmount > this.most) socket.pause();
    });
  }

  /** True where the client has shown a sign of life since the last call. */
  tookProgress(): boolean {
    const { progress } = this;
    this.progress = false;
    return progress;
  }
}
