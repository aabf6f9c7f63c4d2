// SPDX-License-Identifier: MIT
// Code hot enough to be compiled, garbage to be collected, crypto, timers and WebAssembly.
const crypto = require('crypto');
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
console.log(fib(27));
let junk = 0;
for (let i = 0; i < 300000; i++) junk += JSON.parse(JSON.stringify({ i, text: 'x'.repeat(i % 50) })).text.length;
console.log(junk);
console.log(crypto.createHash('sha256').update('mayfly').digest('hex'));
const key = crypto.scryptSync('password', 'salt', 32);
const cipher = crypto.createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
console.log(cipher.update('secret', 'utf8', 'hex') + cipher.final('hex'), cipher.getAuthTag().toString('hex'));
// (module (func (export "sum") (param i32) (result i32) ...)): the sum of 1..n
const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 115, 117,
  109, 0, 0, 10, 30, 1, 28, 1, 1, 127, 3, 64, 32, 1, 32, 0, 106, 33, 1, 32, 0, 65, 1, 107, 34, 0, 65, 0, 74, 13, 0, 11,
  32, 1, 11]);
WebAssembly.instantiate(wasm).then(({ instance }) => console.log('wasm', instance.exports.sum(1000)));
const order = [];
setTimeout(() => order.push('30'), 30);
setTimeout(() => order.push('10'), 10);
setImmediate(() => order.push('immediate'));
process.nextTick(() => order.push('tick'));
setTimeout(() => console.log(order.join(' ')), 60);
crypto.pbkdf2('a', 'b', 1000, 16, 'sha1', (error, out) => console.log('pool', out.toString('hex')));
