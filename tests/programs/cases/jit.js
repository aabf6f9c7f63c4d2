// SPDX-License-Identifier: MIT
// Code hot enough to be compiled, garbage to be collected, crypto, timers and WebAssembly.
const crypto = require('crypto');
const util = require('util');
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
const later = (ms, what) => new Promise((done) => setTimeout(() => done(what), ms));

async function wait() {
  const order = [];
  const { instance } = await WebAssembly.instantiate(wasm);

  console.log('wasm', instance.exports.sum(1000));
  console.log('pool', (await util.promisify(crypto.pbkdf2)('a', 'b', 1000, 16, 'sha1')).toString('hex'));
  const immediate = new Promise((done) => setImmediate(done)).then(() => order.push('immediate'));
  process.nextTick(() => order.push('tick'));
  await immediate;
  order.push(await later(10, '10'));
  order.push(await Promise.race([later(60000, 'late'), later(20, '20')]));
  console.log(order.join(' '));
  process.exit(0);
}
wait();
