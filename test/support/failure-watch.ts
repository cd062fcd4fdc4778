/** Set-up of every test file: remembers whether a test of this file failed, so that its databases are kept. */
import { beforeEach } from "vitest";
import { noteFailure } from "./failure-note.ts";

beforeEach((context) => {
  context.onTestFailed(() => noteFailure(context.task.name));
});
