// SPDX-License-Identifier: MIT
// Counts visits and renders a page: one visit, for every request finds the program as it was frozen.
// mayfly.node is mayfly.c, built by: cc -O2 -shared -fPIC -I ../../include mayfly.c -o mayfly.node
const next = require(process.argv[2]);
let visits = 0;

function render(name) {
  return `<ul>${Array.from({ length: 50 }, (_, i) => `<li>${name} ${i * i}</li>`).join('')}</ul>`;
}

for (let request = next(); request;) {
  const [, target, body] = request;
  visits += 1;
  request = next(200, Buffer.from(JSON.stringify({ visits, body: body.length, page: render(target).length })));
}
