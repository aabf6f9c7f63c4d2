// SPDX-License-Identifier: MIT
// A page that React renders for each request: an ordinary Node server that knows nothing of Mayfly.
// Arguments: HOST PORT.
process.env.NODE_ENV = 'production';
process.env.NODE_PATH = '/usr/share/nodejs'; // Debian's packages
require('module')._initPaths();

const http = require('http');
const { createElement: h, Fragment } = require('react');
const { renderToString } = require('react-dom/server');

let visits = 0; // of this process: in a fresh VM each time it is 1

function Row({ number }) {
  return h('tr', null, h('td', null, number), h('td', null, number * number));
}

function Page({ name, visit }) {
  const numbers = Array.from({ length: 50 }, (_, i) => i + 1);

  return h('html', null,
    h('head', null, h('title', null, 'Squares')),
    h('body', null,
      h(Fragment, null, h('h1', null, `Hello, ${name}`), h('p', null, `visit ${visit} of this process`)),
      h('table', null, h('tbody', null, numbers.map((number) => h(Row, { key: number, number }))))));
}

http.createServer((request, response) => {
  const name = new URL(request.url, 'http://here').searchParams.get('name') || 'stranger';
  const page = '<!DOCTYPE html>' + renderToString(h(Page, { name, visit: ++visits }));

  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Length': Buffer.byteLength(page) });
  response.end(page);
}).listen(Number(process.argv[3]), process.argv[2]);
