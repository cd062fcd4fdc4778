/**
 * Loaded before everything else into a process that is to be profiled: SIGUSR2 starts its profiler, and SIGUSR2 again writes what it saw beside this file, as
 * `<pid>.cpuprofile`.
 */
const { writeFileSync, renameSync } = require("node:fs");
const { Session } = require("node:inspector");
const { join } = require("node:path");

const session = new Session();
session.connect();
session.post("Profiler.enable");
let running = false;
process.on("SIGUSR2", () => {
  running = !running;
  if (running) return session.post("Profiler.start");
  session.post("Profiler.stop", (_error, { profile }) => {
    const file = join(__dirname, `${process.pid}.cpuprofile`);
    writeFileSync(`${file}.part`, JSON.stringify(profile));
    renameSync(`${file}.part`, file);
  });
});
