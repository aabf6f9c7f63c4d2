// SPDX-License-Identifier: MIT
// Renders a page for each of many names with a worker's help, and serves it to itself over HTTP.
const http = require('http');
const { Worker, isMainThread, parentPort } = require('worker_threads');

function page(name) {
  const rows = Array.from({ length: 50 }, (_, i) => `<li>${name} ${i * i}</li>`);
  return `<ul>${rows.join('')}</ul>`;
}

if (!isMainThread) {
  parentPort.on('message', (name) => parentPort.postMessage(page(name).length));
} else {
  const worker = new Worker(__filename);
  const server = http.createServer((request, response) => {
    worker.once('message', (length) => response.end(`${request.url} ${length}\n`));
    worker.postMessage(request.url.slice(1));
  });
  server.listen(0, '127.0.0.1', async () => {
    for (const name of ['mayfly', 'dragonfly', 'caddisfly']) {
      await new Promise((done) => http.get({ port: server.address().port, host: '127.0.0.1', path: `/${name}` },
        (response) => { response.pipe(process.stdout, { end: false }); response.on('end', done); }));
    }
    server.close();
    worker.terminate();
  });
}
