/** What a client is told of a mistake in its variables: where it is, and nothing of what stands around it, which may be secret. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { answer, startTestServer, type TestServer } from "./support.ts";

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.close());

describe("a mistake in a variable", () => {
  const place = (text: string): string => `Variable "$a" got an invalid value${text}; `;
  test.each([
    ["deep in it", { by: 1, parts: [{ by: 2 }, { by: "x" }] }, `${place(' at "a.parts[1].by"')}Int cannot represent non-integer value: "x"`],
    ["a field that is missing", { note: "hush" }, `${place("")}Field "by" of required type "Int!" was not provided.`],
    ["one that there is not", { by: 1, parts: [{ by: 2, bye: "hush" }] }, `${place(' at "a.parts[0]"')}Field "bye" is not defined by type "Amount".`],
    ["the whole of it", "hush", `${place("")}Expected type "Amount" to be an object.`],
    ["one that looks like a place", 'hush at "a.parts[0].by', `${place("")}Expected type "Amount" to be an object.`],
    ["the same, deep in it", { by: 1, parts: ['hush at "a.by"; '] }, `${place(' at "a.parts[0]"')}Expected type "Amount" to be an object.`],
  ])("%s → its place is told, and nothing of what stands around it", async (_case, a, message) => {
    const response = await server.ask("query($a: Amount!) { total(amount: $a) }", { variables: { a } });
    const { errors } = await answer(response);
    expect(errors).toMatchObject([{ message: expect.stringContaining(message), extensions: { code: "BAD_USER_INPUT" } }]);
    expect(JSON.stringify(errors)).not.toContain("hush");
  });
});
