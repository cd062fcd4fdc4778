/**
 * A member's fate, computed instead of kept: every draw is a hash of the node's id, its epoch and what is drawn for. So a million
 * members at rest cost nothing, and a repeated call comes to the same answer. Pure.
 */
import type { NodeId } from "../../core/ids.ts";
import type { NodePlacement } from "../driver.ts";
import type { Duration, SimSpec } from "./spec.ts";

interface Life {
  readonly id: NodeId;
  readonly epoch: number;
}

/** 53 bits from a text (cyrb53: two multiplicative hashes side by side). Not for secrets; fast, and spread well enough for draws. */
function hash53(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 2_654_435_761);
    b = Math.imul(b ^ unit, 1_597_334_677);
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909);
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & b) + (a >>> 0);
}

/** Uniform in [0, 1), always the same for one life and one purpose. */
export function draw(life: Life, purpose: string): number {
  return hash53(`${life.id}/${life.epoch}/${purpose}`) / 2 ** 53;
}

export function drawMs(duration: Duration, life: Life, purpose: string): number {
  if (typeof duration === "number") return duration;
  return duration.min + Math.floor(draw(life, purpose) * (duration.max - duration.min + 1));
}

/** Whether this attempt to make the member fails. */
export function fails(spec: Pick<SimSpec, "failureRate">, life: Life & { readonly attempt: number }): boolean {
  return spec.failureRate > 0 && draw(life, `fail/${life.attempt}`) < spec.failureRate;
}

/** The name of the made-up thing: one per node and epoch. */
export function physicalIdOf(life: Life): string {
  return `sim-${life.id}-${life.epoch}`;
}

/** Where the member is said to stand: drawn by node, so that it stays there over its lives. */
export function placementOf(spec: Pick<SimSpec, "zones" | "hosts">, id: NodeId): NodePlacement | null {
  if (spec.zones.length === 0 && spec.hosts === 0) return null;
  const life = { id, epoch: 0 };
  const zone = spec.zones[Math.floor(draw(life, "zone") * spec.zones.length)] ?? null;
  const host = spec.hosts === 0 ? null : `host-${Math.floor(draw(life, "host") * spec.hosts)}`;
  return { region: null, zone, host };
}
