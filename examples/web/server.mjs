// The smallest useful member of a cluster: an HTTP server that says who it is. Needs nothing but Node.js.
//   PORT  where it listens on 127.0.0.1 (Muster hands it out: "{{ports.http}}")
//   NAME  what it calls itself ("{{node.name}}")
import { createServer } from "node:http";

const name = process.env.NAME ?? "web";
const port = Number(process.env.PORT ?? 8080);
const startedAt = new Date().toISOString();

const server = createServer((request, response) => {
  if (request.url !== "/") {
    response.writeHead(404, { "content-type": "text/plain; charset=utf-8" }).end("There is nothing here but /.\n");
    return;
  }
  const body = { name, pid: process.pid, startedAt };
  response.writeHead(200, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
});

server.on("error", (error) => {
  console.error(`${name}: ${error.message}`);
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => console.log(`${name} listens on http://127.0.0.1:${server.address().port}/ as process ${process.pid}`));

process.on("SIGTERM", () => {
  console.log(`${name} was asked to stop`);
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
