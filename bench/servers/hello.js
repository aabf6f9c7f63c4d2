// SPDX-License-Identifier: MIT
// Node's http module. Argument: HOST:PORT.
const http = require('http');

const [host, port] = process.argv[2].split(':');
let served = 0;

http.createServer((request, response) => {
  const body = `hello ${++served}\n`;

  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
  response.end(body);
}).listen(Number(port), host);
