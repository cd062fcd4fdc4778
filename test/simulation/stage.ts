/**
 * The stage: it owns time and decides, by its dice, whose statement runs next, which answer is lost, who freezes or dies. Between two
 * steps nothing moves: every process waits for a statement, a timer or a driver. A statement that waits for a lock is recognized by
 * pg_blocking_pids and left waiting while others go on.
 */

import { setImmediate as turn } from "node:timers/promises";
import { codeOf, isOrdered, knownAnswer, sorted } from "./answer.ts";
import type { Dice } from "./dice.ts";
import { cutModes, strike } from "./fault.ts";
import { checkFences, outcomes } from "./fence.ts";
import { Line } from "./line.ts";
import type { SimulatedProcess } from "./process.ts";
import type { SimulatedServer } from "./server.ts";
import type { Trace } from "./trace.ts";
import { answeredOrAMoment, letsGo, settle, untilAnswered } from "./waiting.ts";

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void | Promise<void>;
}

export interface FaultRates {
  /** Of each step. */
  readonly step: number;
  /** Of each COMMIT: that its answer is lost, before or after it took effect. */
  readonly commit: number;
  /** Of each wake-up: that it is lost. */
  readonly wake: number;
}

/** What a server's time-out is set to, ms. */
const idleInTransactionMs = 10_000;
/** Whoever relies on being woken is wrong, also in peace. */
const wakesLostInPeace = 0.2;
/** After so long a peace everybody alive is known to be, ms. */
const calmMs = 5_000;

export class Stage {
  readonly server: SimulatedServer;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly violations: string[] = [];
  readonly faults = new Map<string, number>();
  processes: SimulatedProcess[] = [];
  nowMs = 0;
  /** null: peace. */
  rates: FaultRates | null = null;
  /** Called when a process was killed by a fault: something may start it again. */
  onKilled: (process: SimulatedProcess) => void = () => undefined;
  lines: Line[] = [];
  private peaceMs = Number.POSITIVE_INFINITY;
  private agenda: Due[] = [];
  private order = 0;
  private lineNumber = 0;
  private pending = 0;

  constructor(server: SimulatedServer, dice: Dice, trace: Trace) {
    this.server = server;
    this.dice = dice;
    this.trace = trace;
  }

  nextOrder(): number {
    return ++this.order;
  }

  /** Has something happen in so many ms. */
  in(ms: number, run: Due["run"]): void {
    this.agenda.push({ atMs: this.nowMs + ms, order: this.nextOrder(), run });
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.in(ms, resolve));
  }

  /** Has something reach a process in so many ms, or once it moves again; nothing reaches a dead one. */
  reach(process: SimulatedProcess, ms: number, run: () => void): void {
    this.in(ms, () => {
      if (!process.alive) return;
      if (process.frozen()) this.reach(process, process.frozenUntilMs - this.nowMs, run);
      else run();
    });
  }

  violate(what: string): void {
    this.violations.push(what);
  }

  logged(process: SimulatedProcess, message: string, fields: Readonly<Record<string, unknown>>): void {
    const texts = Object.values(fields).map((value) => (value instanceof Error ? (value.stack ?? value.message) : String(value)));
    this.violate(`${process.name} logged an error: ${message} ${texts.join(" ")}`);
  }

  openLine(process: SimulatedProcess, kind: Line["kind"]): Line {
    const line = new Line(++this.lineNumber, process, kind);
    this.lines.push(line);
    return line;
  }

  /** A process says farewell. */
  closeLine(line: Line): void {
    line.breakForProcess();
    this.in(0, () => this.closeOnServer(line));
  }

  /** One step; false: nothing will ever happen any more. */
  async step(): Promise<boolean> {
    await this.fireDue();
    if (this.rates !== null && this.dice.chance(this.rates.step)) await strike(this);
    const able = this.lines.filter((line) => this.able(line));
    const idle = this.rates !== null && this.dice.chance(0.01);
    if (able.length === 0 || idle) {
      const next = this.nextMs();
      if (next === null && able.length === 0) return false;
      this.nowMs = idle ? this.nowMs + this.dice.below(400) : Math.max(this.nowMs, next ?? this.nowMs);
      return true;
    }
    await this.serve(this.choose(able));
    return true;
  }

  private able(line: Line): boolean {
    const { request, process } = line;
    if (request === null || line.closed || line.lost || !process.alive || process.frozen() || process.stalled()) return false;
    return request.state === "waiting" || request.state === "answered";
  }

  private choose(able: readonly Line[]): Line {
    let left = this.dice.fraction() * able.reduce((sum, line) => sum + line.process.weight, 0);
    for (const line of able) {
      left -= line.process.weight;
      if (left < 0) return line;
    }
    return able[able.length - 1] ?? this.dice.pick(able);
  }

  /** Looks into the tables from outside; nothing moves meanwhile. */
  async look<Row>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    return this.outside(this.server.read<Row>(text, values));
  }

  /** Something that really takes time: nothing moves meanwhile. */
  async outside<T>(work: Promise<T>): Promise<T> {
    this.pending++;
    try {
      return await work;
    } finally {
      this.pending--;
    }
  }

  /** Until nothing in any process moves by itself. */
  private async rest(): Promise<void> {
    await turn();
    while (this.pending > 0) await turn();
  }

  private async fireDue(): Promise<void> {
    await this.rest();
    for (;;) {
      const first = this.firstDue();
      if (first === null || first.atMs > this.nowMs) return;
      if ("run" in first) {
        this.agenda = this.agenda.filter((due) => due !== first);
        await first.run();
      } else first.end();
      await this.rest();
    }
  }

  private firstDue(): Due | ReturnType<SimulatedProcess["firstTimer"]> {
    let first: Due | NonNullable<ReturnType<SimulatedProcess["firstTimer"]>> | null = null;
    const before = (a: { atMs: number; order: number }, b: { atMs: number; order: number } | null): boolean =>
      b === null || a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
    for (const due of this.agenda) if (before(due, first)) first = due;
    for (const process of this.processes) {
      const timer = process.alive && !process.frozen() ? process.firstTimer() : null;
      if (timer !== null && before(timer, first)) first = timer;
    }
    return first;
  }

  private nextMs(): number | null {
    return this.firstDue()?.atMs ?? null;
  }

  /** Runs a statement, or hands on the answer of one that had to wait. */
  private async serve(line: Line): Promise<void> {
    const { request } = line;
    if (request === null) return;
    if (request.state === "answered") return this.hand(line);
    const { rates } = this;
    if (rates !== null && request.name === "commit" && this.dice.chance(rates.commit)) return this.cut(line, this.dice.pick(cutModes), "commit");
    await this.run(line);
    if (request.answer !== null && this.able(line)) await this.hand(line);
  }

  private async hand(line: Line): Promise<void> {
    const { request } = line;
    if (request?.answer == null) return;
    if (!request.noted) await this.answered(line);
    const { answer } = request;
    this.trace.note(this.nowMs, line.process.name, `${line.number} ${request.name}`, answer.ok ? String(answer.rowCount) : codeOf(answer.error));
    line.take();
  }

  /** A transaction in which nothing is asked any more is ended by the server. */
  private async endIdle(line: Line): Promise<void> {
    if (line.closed || !line.inTransaction) return;
    const leftMs = line.servedAtMs + idleInTransactionMs - this.nowMs;
    if (leftMs > 0) {
      this.in(leftMs, () => this.endIdle(line));
      return;
    }
    this.trace.note(this.nowMs, line.process.name, `${line.number} idle in transaction`, "ended");
    line.breakForProcess();
    await this.closeOnServer(line);
  }

  /** Lets a waiting statement reach the server, and waits until it is answered or blocked. */
  async run(line: Line): Promise<void> {
    const { request } = line;
    if (request === null || request.state !== "waiting") return;
    const known = knownAnswer(request.name, this.nowMs);
    if (known !== null) {
      request.answer = known;
      request.state = "answered";
      request.noted = true;
      return;
    }
    line.backend ??= await this.server.lease(line.process.name);
    const { backend } = line;
    if (request.name === "commit") await checkFences(this, line);
    request.state = "running";
    line.servedAtMs = this.nowMs;
    request.settled = backend.run(request.text, request.values, this.nowMs).then((answer) => {
      request.answer = answer.ok && !isOrdered(request.text) ? { ...answer, rows: sorted(answer.rows) } : answer;
      request.state = "answered";
    });
    await answeredOrAMoment([line]);
    // Whoever is in the midst of a transaction lets go of nothing.
    if (request.answer?.ok !== true || !line.inTransaction || letsGo.has(request.name)) await settle(this);
    this.nowMs += 0.1 + this.dice.below(40) / 100;
    if (request.answer === null) this.trace.note(this.nowMs, line.process.name, `${line.number} ${request.name}`, "blocked");
    else await this.answered(line);
  }

  /** What the stage makes of an answer, whether or not it ever reaches the process. */
  private async answered(line: Line): Promise<void> {
    const { request, backend } = line;
    if (request?.answer == null || backend === null) return;
    const { name, values, answer } = request;
    request.noted = true;
    const notices = backend.takeNotices();
    if (!answer.ok) return;
    if (name === "begin" || name === "start") {
      line.inTransaction = true;
      line.lanesChecked = [];
      line.wroteOutcome = null;
      line.lanesBegun = [];
      this.in(idleInTransactionMs, () => this.endIdle(line));
    } else if (name === "commit" || name === "rollback") line.inTransaction = false;
    else if (name === "lane.check") line.lanesChecked.push(...(values[0] as number[]));
    else if (name === "worker.insert") line.process.workerIds.push(String(values[0]));
    else if (outcomes.has(name)) line.wroteOutcome = name;
    for (const notice of notices) {
      const [verb, about = ""] = notice.split(" ");
      if (verb === "notify") this.notify(about);
      if (verb === "terminate") await this.terminate(Number(about));
      if (verb === "begun") line.lanesBegun.push(Number(about));
    }
  }

  private notify(channel: string): void {
    const lost = this.rates?.wake ?? wakesLostInPeace;
    for (const line of this.lines) {
      for (const [name, hear] of line.channels) {
        if (name !== channel || line.lost || this.dice.chance(lost)) continue;
        this.reach(line.process, this.dice.below(10), () => {
          if (!line.lost) hear();
        });
      }
    }
  }

  private async terminate(pid: number): Promise<void> {
    const line = this.lines.find((each) => each.backend?.pid === pid);
    if (line === undefined) return;
    this.trace.note(this.nowMs, line.process.name, `${line.number} backend`, "terminated");
    if (line.process.alive && this.nowMs - this.peaceMs > calmMs) this.violate(`${line.process.name} gets on, and its connection was ended in peace`);
    this.reach(line.process, this.dice.below(20), () => line.breakForProcess());
    await this.closeOnServer(line);
  }

  count(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  say(fault: string, who: string, what = ""): void {
    this.count(fault);
    this.trace.note(this.nowMs, who, `fault ${fault}`, what);
  }

  /**
   * Breaks a line. before: what waits never reaches the server. after: it does, its answer does not come back. later: the process learns
   * of it now, the server goes on for a while.
   */
  async cut(line: Line, mode: (typeof cutModes)[number], why: string): Promise<void> {
    if (line.closed || line.orphan) return;
    this.say("cut", line.process.name, `${line.number} ${mode} ${line.request?.name ?? "idle"} (${why})`);
    if (mode === "after") await this.run(line);
    line.breakForProcess();
    const going = mode !== "before" && (line.request?.state === "blocked" || (mode === "later" && line.request?.state === "waiting"));
    if (mode !== "later" && !going) return this.closeOnServer(line);
    line.orphan = true;
    this.in(this.dice.between(1, this.dice.chance(0.5) ? 60 : 2_500), () => this.endOrphan(line));
  }

  private async endOrphan(line: Line): Promise<void> {
    if (line.closed) return;
    if (line.request?.state === "waiting") {
      this.trace.note(this.nowMs, line.process.name, `${line.number} ${line.request.name}`, "reaches the server");
      await this.run(line);
    }
    // As long as it waits for a lock the server does not look whether anybody is there.
    if (line.request?.state === "blocked") this.in(100, () => this.endOrphan(line));
    else await this.closeOnServer(line);
  }

  private async closeOnServer(line: Line): Promise<void> {
    if (line.closed) return;
    line.closed = true;
    const { backend } = line;
    if (backend !== null) {
      if (line.request?.state === "blocked") {
        await this.server.cancel(backend);
        await untilAnswered(line);
      }
      await this.server.recycle(backend);
      line.backend = null;
    }
    this.lines = this.lines.filter((each) => each !== line);
    await settle(this);
  }

  /** From now on nothing breaks; what is broken mends. */
  peace(): void {
    this.rates = null;
    this.peaceMs = this.nowMs;
    for (const process of this.processes) {
      process.frozenUntilMs = Math.min(process.frozenUntilMs, this.nowMs);
      process.stalledUntilMs = 0;
      process.unreachableUntilMs = 0;
      process.weight = 1;
    }
    this.trace.note(this.nowMs, "stage", "peace", "");
  }

  /** Ends everything at once. */
  async clear(): Promise<void> {
    for (const process of this.processes) process.die();
    this.agenda = [];
    for (const line of [...this.lines]) await this.closeOnServer(line);
  }
}
