/** What is drawn of a cluster: pure, from a view to lines. */

export interface MemberView {
  readonly name: string;
  readonly status: string;
  readonly health: string;
  readonly pid: string | null;
  readonly address: string | null;
  readonly reason: string | null;
}

export interface ClusterView {
  readonly name: string;
  readonly status: string;
  readonly desired: number;
  readonly active: number;
  readonly healthy: number;
  readonly members: readonly MemberView[];
}

export interface EventView {
  readonly at: Date;
  readonly level: string;
  readonly message: string;
}

const columns = [
  { title: "MEMBER", width: 14, of: (member: MemberView) => member.name },
  { title: "STATUS", width: 12, of: (member: MemberView) => member.status },
  { title: "HEALTH", width: 11, of: (member: MemberView) => member.health },
  { title: "PID", width: 9, of: (member: MemberView) => member.pid ?? "" },
  { title: "ADDRESS", width: 25, of: (member: MemberView) => member.address ?? "" },
] as const;

const colours = { good: "32", busy: "33", bad: "31", dim: "2", bold: "1" } as const;
type Colour = keyof typeof colours;

function paint(text: string, colour: Colour): string {
  return `\u001b[${colours[colour]}m${text}\u001b[0m`;
}

function colourOf(member: MemberView): Colour {
  if (member.health === "UNHEALTHY" || member.status === "ERROR") return "bad";
  return member.status === "ACTIVE" && member.health === "HEALTHY" ? "good" : "busy";
}

/** Lines that are no member and no event: head, titles, blanks, hint, and the cursor's own below them. */
const otherLines = 9;
const leastEvents = 3;

/** The table of members and below it the newest events, cut to the terminal's size: a line that wraps would shift the next picture. */
export function drawScreen(
  cluster: ClusterView | null,
  events: readonly EventView[],
  hint: string,
  size: { readonly columns: number; readonly rows: number },
): string[] {
  const all = cluster?.members ?? [];
  const room = Math.max(2, size.rows - otherLines - leastEvents);
  const shown = all.length > room ? all.slice(0, room - 1) : all;
  const members = shown.map((member) => paint(cut(row(member), size.columns), colourOf(member)));
  if (shown.length < all.length) members.push(`… and ${all.length - shown.length} more`);
  const tail = events.slice(-Math.max(leastEvents, size.rows - otherLines - members.length));
  return [
    ...headOf(cluster).map((line) => paint(cut(line, size.columns), "bold")),
    ...members,
    "",
    ...tail.map((event) => paint(cut(eventLine(event), size.columns), "dim")),
    "",
    ...hint.split("\n").map((line) => cut(line, size.columns)),
  ];
}

function headOf(cluster: ClusterView | null): string[] {
  if (cluster === null) return ["The cluster is being made …"];
  return [summary(cluster), "", titles()];
}

export function summary({ name, status, active, desired, healthy }: ClusterView): string {
  return `Cluster ${name}: ${status}, ${active} of ${desired} active, ${healthy} healthy`;
}

function titles(): string {
  return columns.map(({ title, width }) => title.padEnd(width)).join("");
}

function row(member: MemberView): string {
  return columns.map(({ of, width }) => of(member).padEnd(width)).join("") + (member.reason ?? "");
}

/** `00:41:07.123  Node web-2 is UNHEALTHY: EXITED` */
export function eventLine({ at, message }: EventView): string {
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}  ${message}`;
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
