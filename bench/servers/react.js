// SPDX-License-Identifier: MIT
// A page of a hundred rows that React renders to text for each request. Argument: HOST:PORT.
process.env.NODE_ENV = 'production';
process.env.NODE_PATH = '/usr/share/nodejs'; // Debian's packages
require('module')._initPaths();

const http = require('http');
const { createElement: h } = require('react');
const { renderToString } = require('react-dom/server');

const [host, port] = process.argv[2].split(':');
let served = 0;

function Row({ number }) {
  return h('tr', null, h('td', null, number), h('td', null, `row ${number}`));
}

function Page({ visit }) {
  const rows = Array.from({ length: 100 }, (_, i) => h(Row, { key: i, number: i + 1 }));

  return h('html', null, h('body', null, h('h1', null, `visit ${visit}`), h('table', null, h('tbody', null, rows))));
}

http.createServer((request, response) => {
  const body = renderToString(h(Page, { visit: ++served }));

  response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}).listen(Number(port), host);
