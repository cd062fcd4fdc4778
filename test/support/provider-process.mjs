/**
 * The provider of simulated members, as a process of its own: it keeps the truth about what was made, apart from Muster and outliving
 * any part of it, and logs every call with its key. Loopback HTTP, JSON in and out; prints its address in one line when it listens.
 *
 *   POST /create /delete /inspect /update  {effects: [Effect]}      → {answers: […]}, in the same order
 *   GET  /books                                             → what exists, what went wrong, how often each key was called
 *   GET  /lives                                             → every life there ever was, and the highest fence of each node
 *   POST /control                  {kill: [nodeId]}         → those members die
 *                                  {killSome: n}            → so many die, whoever they are
 *                                  {mute: n}                → the next n calls are carried out, but never answered
 *                                  {delayMs: n}             → every call arrives so much later
 *                                  {hold: {verb, when}}     → the next call of that verb stands still, before or after it is carried out
 *                                  {release: true}          → what stands still goes on
 *   GET  /held                                              → answers when a call stands still
 */
import { createServer } from "node:http";

/** By node: highest lane epoch seen, highest epoch closed, and its lives by epoch. */
const nodes = new Map();
const calls = new Map();
const doubles = [];
/** Which worker first used a fence for a node: two with the same one would be two owners of one lane. */
const fenceUsers = new Map();
const sharedFences = [];
/** How often a key brought something about: a life begun, a life ended. */
const effects = new Map();
let fencedOff = 0;
let total = 0;
let mute = 0;
let delayMs = 0;
let hold = null;
let held = null;
const heardHeld = [];

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

function fenced(book, effect, caller) {
  const fence = BigInt(effect.fence);
  if (fence < book.fence) {
    fencedOff += 1;
    return refused("FENCED", "a newer owner of the lane has called");
  }
  book.fence = fence;
  if (caller !== undefined) {
    const place = `${effect.nodeId}/${effect.fence}`;
    const first = fenceUsers.get(place) ?? caller;
    fenceUsers.set(place, first);
    if (first !== caller) sharedFences.push({ nodeId: effect.nodeId, fence: effect.fence, callers: [first, caller] });
  }
  return null;
}

function took(effect) {
  effects.set(effect.key, (effects.get(effect.key) ?? 0) + 1);
}

function create(effect, now, caller) {
  const book = bookOf(effect.nodeId);
  const refusal = fenced(book, effect, caller);
  if (refusal !== null) return refusal;
  let life = book.lives.get(effect.epoch);
  if (life === undefined) {
    if (effect.epoch <= book.closed) return refused("EPOCH_CLOSED", "this life is over", { epochClosed: true });
    for (const [epoch, other] of book.lives) if (isAlive(other, now)) doubles.push({ nodeId: effect.nodeId, epochs: [epoch, effect.epoch] });
    const readyAt = now + effect.takesMs;
    life = {
      physicalId: `sim-${effect.nodeId}-${effect.epoch}`,
      bornAt: now,
      readyAt,
      diesAt: effect.livesMs === null ? null : readyAt + effect.livesMs,
      diedAt: null,
      updates: new Map(),
    };
    book.lives.set(effect.epoch, life);
    took(effect);
  }
  if (!isAlive(life, now) || effect.epoch <= book.closed) return refused("EPOCH_CLOSED", "this life is over", { epochClosed: true });
  const inMs = Math.max(0, life.readyAt - now);
  return { kind: "done", inMs, physicalId: life.physicalId, livesMs: life.diesAt === null ? null : life.diesAt - Math.max(now, life.readyAt) };
}

function remove(effect, now, caller) {
  const book = bookOf(effect.nodeId);
  const refusal = fenced(book, effect, caller);
  if (refusal !== null) return refusal;
  book.closed = Math.max(book.closed, effect.epoch);
  let ended = false;
  for (const [epoch, life] of book.lives) {
    if (epoch > effect.epoch || !isAlive(life, now)) continue;
    life.diedAt = now;
    ended = true;
  }
  if (ended) took(effect);
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

function update(effect, now, caller) {
  const book = bookOf(effect.nodeId);
  const refusal = fenced(book, effect, caller);
  if (refusal !== null) return refusal;
  const life = book.lives.get(effect.epoch);
  if (life === undefined || effect.epoch <= book.closed || !isAlive(life, now))
    return refused("NOT_THERE", "this life is over", { epochClosed: true });
  let doneAt = life.updates.get(effect.key);
  if (doneAt === undefined) {
    doneAt = now + effect.takesMs;
    life.updates.set(effect.key, doneAt);
    took(effect);
  }
  return { kind: "done", inMs: Math.max(0, doneAt - now), physicalId: life.physicalId, livesMs: life.diesAt === null ? null : life.diesAt - now };
}

const operations = { "/create": create, "/delete": remove, "/inspect": inspect, "/update": update };

function call(path, { effects: asked, caller }) {
  const now = Date.now();
  const operation = operations[path];
  total += 1;
  return asked.map((effect) => {
    const entry = calls.get(effect.key) ?? { count: 0, first: now };
    entry.count += 1;
    calls.set(effect.key, entry);
    return operation(effect, now, caller);
  });
}

function books() {
  const now = Date.now();
  const alive = [];
  let created = 0;
  for (const [nodeId, { lives }] of nodes) {
    created += lives.size;
    for (const [epoch, life] of lives) if (isAlive(life, now)) alive.push({ nodeId, epoch, physicalId: life.physicalId, updates: life.updates.size });
  }
  return {
    alive,
    created,
    doubles,
    calls: Object.fromEntries([...calls].map(([key, { count }]) => [key, count])),
    total,
    fencedOff,
    sharedFences,
    repeated: [...effects].filter(([, count]) => count > 1).map(([key, count]) => ({ key, count })),
  };
}

function lives() {
  const list = [];
  for (const [nodeId, book] of nodes) {
    for (const [epoch, { bornAt, diesAt, diedAt }] of book.lives) list.push({ nodeId, epoch, bornAt, endedAt: diedAt ?? diesAt });
  }
  return { lives: list, fences: Object.fromEntries([...nodes].map(([nodeId, { fence }]) => [nodeId, String(fence)])) };
}

function control(wish) {
  const now = Date.now();
  const living = [...nodes].filter(([, { lives: own }]) => [...own.values()].some((life) => isAlive(life, now))).map(([nodeId]) => nodeId);
  for (const nodeId of [...(wish.kill ?? []), ...living.slice(0, wish.killSome ?? 0)]) {
    for (const life of nodes.get(nodeId)?.lives.values() ?? []) if (isAlive(life, now)) life.diedAt = now;
  }
  if (wish.hold !== undefined) hold = wish.hold;
  if (wish.release === true) {
    held?.();
    held = null;
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
    if (request.url === "/lives") return answer(lives());
    if (request.url === "/control") return answer(control(body));
    if (request.url === "/held") return held === null ? heardHeld.push(() => answer({})) : answer({});
    const standStill = (goOn) => {
      hold = null;
      held = goOn;
      for (const tell of heardHeld.splice(0)) tell();
    };
    const holds = (when) => hold !== null && hold.when === when && request.url === `/${hold.verb}`;
    const act = () => {
      if (holds("before")) return standStill(act);
      const answers = call(request.url, body);
      if (holds("after")) return standStill(() => answer({ answers }));
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
