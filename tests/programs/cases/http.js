// SPDX-License-Identifier: MIT
// An HTTP server and clients of it in one process.
const http = require('http');
const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => { body += chunk; });
  request.on('end', () => response.end(`${request.method} ${request.url} ${body.length}`));
});
server.listen(0, '127.0.0.1', () => {
  const port = server.address().port;
  let left = 20;
  const seen = [];
  for (let i = 0; i < 20; i++) {
    const request = http.request({ port, host: '127.0.0.1', path: `/${i}`, method: 'POST' }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => {
        seen.push(text);
        if (!--left) { console.log(seen.sort().join('\n')); server.close(); }
      });
    });
    request.end('x'.repeat(i * 1000));
  }
});
