// A `fetch` handler in the style of Electric's own proxy example: node fetch.js PORT UPSTREAM_PORT.
const http = require("node:http");
const { Readable } = require("node:stream");

const [port, upstream] = process.argv.slice(2).map(Number);
const PASSED = new Set(["live", "live_sse", "handle", "offset", "cursor", "expired_handle", "log", "cache-buster"]);

async function handle(request) {
  const url = new URL(request.url);
  const origin = new URL(`http://127.0.0.1:${upstream}/v1/shape`);
  url.searchParams.forEach((value, name) => {
    if (PASSED.has(name)) origin.searchParams.set(name, value);
  });
  origin.searchParams.set("table", url.searchParams.get("table"));
  origin.searchParams.set("where", "organization_id = $1");
  origin.searchParams.set("params[1]", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa");
  const answer = await fetch(origin);
  const headers = new Headers(answer.headers);
  headers.delete("content-encoding");
  headers.delete("content-length");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

const server = http.createServer(async (request, response) => {
  try {
    const answer = await handle(new Request(`http://127.0.0.1${request.url}`, { headers: request.headers }));
    const headers = Object.fromEntries(answer.headers);
    delete headers["transfer-encoding"];
    delete headers.connection;
    delete headers["keep-alive"];
    response.writeHead(answer.status, headers);
    if (answer.body) Readable.fromWeb(answer.body).pipe(response);
    else response.end();
  } catch {
    response.destroy();
  }
});
server.listen(port, "127.0.0.1", 4096);
