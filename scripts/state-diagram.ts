/** The state diagrams of docs/, printed from the tables in core: Mermaid, and a table of what each status means. */
import { actionStatuses, actionTransitions, isFinished } from "../src/core/action.ts";
import { nodeStatuses, nodeStatusFacts, nodeTransitions } from "../src/core/node.ts";

const note = "Printed from the tables in `src/core` by `npm run print`; do not edit.";

/** One arrow per pair of statuses, labelled with all events that lead there. */
function arrows(table: Readonly<Record<string, Readonly<Record<string, string>>>>): string[] {
  return Object.entries(table).flatMap(([from, row]) => {
    const targets = [...new Set(Object.values(row))];
    return targets.map((to) => {
      const events = Object.keys(row).filter((event) => row[event] === to);
      return `  ${from} --> ${to === "GONE" ? "[*]" : to}: ${events.join(", ")}`;
    });
  });
}

export function nodeStateDiagram(): string {
  const rows = nodeStatuses.map((status) => {
    const facts = nodeStatusFacts[status];
    return `| \`${status}\` | ${facts.active ? "yes" : "no"} | ${facts.there ? "yes" : "no"} | ${facts.next} |`;
  });
  return `# The node's states

${note}
The table is \`nodeTransitions\` in [src/core/node.ts](../src/core/node.ts); nothing else decides a node's status.

\`\`\`mermaid
stateDiagram-v2
  [*] --> PLANNED
${arrows(nodeTransitions).join("\n")}
\`\`\`

| status | counts as active | something may be there | what comes next |
|---|---|---|---|
${rows.join("\n")}
`;
}

export function actionStateDiagram(): string {
  const ends = actionStatuses.filter(isFinished).map((status) => `  ${status} --> [*]`);
  return `# The action's states

${note}
The table is \`actionTransitions\` in [src/core/action.ts](../src/core/action.ts). An action that has ended stays as it ended, its progress frozen.

\`\`\`mermaid
stateDiagram-v2
  [*] --> PENDING
${arrows(actionTransitions).join("\n")}
${ends.join("\n")}
\`\`\`
`;
}
