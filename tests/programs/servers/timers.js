// SPDX-License-Identifier: MIT
// How often a timer has run out, and how long this program has run by its own clock, in ms.
const http = require('http');

const began = performance.now();
let ticks = 0;

setInterval(() => { ticks++; }, 50);
http.createServer((request, response) => {
  response.end(`${ticks} ${performance.now() - began}`);
}).listen(8000, '127.0.0.1');
