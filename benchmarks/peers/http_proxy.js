// Node's http-proxy before Electric: node http_proxy.js PORT UPSTREAM_PORT.
const http = require("node:http");
const httpProxy = require("http-proxy");

const [port, upstream] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${upstream}`, agent });
proxy.on("error", (_error, _request, response) => response.destroy());
http.createServer((request, response) => proxy.web(request, response)).listen(port, "127.0.0.1", 4096);
