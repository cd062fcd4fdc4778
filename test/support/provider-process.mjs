/**
 * The provider of simulated members, as a process of its own: it keeps the truth about what was made, apart from Muster and outliving
 * any part of it, and logs every call with its key. Loopback HTTP, JSON in and out; prints its address in one line when it listens.
 *
 *   POST /create /delete /inspect  {effects: [Effect]}      → {answers: […]}, in the same order
 *   GET  /books                                             → what exists, what went wrong, how often each key was called
 *   POST /control                  {kill: [nodeId]}         → those members die
 *                                  {mute: n}                → the next n calls are carried out, but never answered
 *                                  {delayMs: n}             → every call arrives so much later
 */
import { createServer } from "node:http";

/** By node: highest lane epoch seen, highest epoch closed, and its lives by epoch. */
const nodes = new Map();
const calls = new Map();
const doubles = [];
let mute = 0;
let delayMs = 0;

function bookOf(id) {
  let book = nodes.get(id);
  if (book === undefined) {
    book = { fence: 0n, closed: 0, lives: new Map() };
    nodes.set(id, book);
  }
  return book;
}

const isAlive = (life, now) => life.diedAt === null && (life.diesAt === null || life.diesAt > now);
const refused = (code, message, extra = {}) => ({ kind: "refused", error: { class: "transient", code, message, ...extra } });

function fenced(book, effect) {
  const fence = BigInt(effect.fence);
  if (fence < book.fence) return refused("FENCED", "a newer owner of the lane has called");
  book.fence = fence;
  return null;
}

function create(effect, now) {
  const book = bookOf(effect.nodeId);
  const refusal = fenced(book, effect);
  if (refusal !== null) return refusal;
  let life = book.lives.get(effect.epoch);
  if (life === undefined) {
    if (effect.epoch <= book.closed) return refused("EPOCH_CLOSED", "this life is over", { epochClosed: true });
    for (const [epoch, other] of book.lives) if (isAlive(other, now)) doubles.push({ nodeId: effect.nodeId, epochs: [epoch, effect.epoch] });
    const readyAt = now + effect.takesMs;
    life = {
      physicalId: `sim-${effect.nodeId}-${effect.epoch}`,
      readyAt,
      diesAt: effect.livesMs === null ? null : readyAt + effect.livesMs,
      diedAt: null,
    };
    book.lives.set(effect.epoch, life);
  }
  if (!isAlive(life, now) || effect.epoch <= book.closed) return refused("EPOCH_CLOSED", "this life is over", { epochClosed: true });
  const inMs = Math.max(0, life.readyAt - now);
  return { kind: "done", inMs, physicalId: life.physicalId, livesMs: life.diesAt === null ? null : life.diesAt - Math.max(now, life.readyAt) };
}

function remove(effect, now) {
  const book = bookOf(effect.nodeId);
  const refusal = fenced(book, effect);
  if (refusal !== null) return refusal;
  book.closed = Math.max(book.closed, effect.epoch);
  for (const [epoch, life] of book.lives) if (epoch <= effect.epoch && isAlive(life, now)) life.diedAt = now;
  return { kind: "done", inMs: effect.takesMs, physicalId: "", livesMs: null };
}

function inspect(effect, now) {
  const book = bookOf(effect.nodeId);
  const life = book.lives.get(effect.epoch);
  if (life === undefined || effect.epoch <= book.closed) {
    // Absent stays absent: a create of this epoch that is still on its way comes too late.
    book.closed = Math.max(book.closed, effect.epoch);
    return { kind: "absent" };
  }
  if (!isAlive(life, now)) return { kind: "dead", physicalId: life.physicalId, reason: life.diedAt === null ? "LIFETIME_OVER" : "KILLED" };
  return { kind: "running", physicalId: life.physicalId, livesMs: life.diesAt === null ? null : life.diesAt - now };
}

const operations = { "/create": create, "/delete": remove, "/inspect": inspect };

function call(path, { effects }) {
  const now = Date.now();
  const operation = operations[path];
  return effects.map((effect) => {
    const entry = calls.get(effect.key) ?? { count: 0, first: now };
    entry.count += 1;
    calls.set(effect.key, entry);
    return operation(effect, now);
  });
}

function books() {
  const now = Date.now();
  const alive = [];
  let created = 0;
  for (const [nodeId, { lives }] of nodes) {
    created += lives.size;
    for (const [epoch, life] of lives) if (isAlive(life, now)) alive.push({ nodeId, epoch, physicalId: life.physicalId });
  }
  return { alive, created, doubles, calls: Object.fromEntries([...calls].map(([key, { count }]) => [key, count])) };
}

function control(wish) {
  for (const nodeId of wish.kill ?? []) {
    const now = Date.now();
    for (const life of nodes.get(nodeId)?.lives.values() ?? []) if (isAlive(life, now)) life.diedAt = now;
  }
  mute = wish.mute ?? mute;
  delayMs = wish.delayMs ?? delayMs;
  return {};
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const answer = (value) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (request.url === "/books") return answer(books());
    if (request.url === "/control") return answer(control(body));
    const act = () => {
      const answers = call(request.url, body);
      // The connection just breaks: whoever called cannot know what became of it.
      if (mute > 0) {
        mute -= 1;
        request.socket.destroy();
      } else answer({ answers });
    };
    if (delayMs > 0) setTimeout(act, delayMs);
    else act();
  });
});

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
// Whoever started it has gone: so does it.
process.stdin.resume().on("end", () => process.exit(0));
