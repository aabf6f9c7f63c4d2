// SPDX-License-Identifier: MIT
// Worker threads that share memory and send messages.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(4);
  let left = 3, sum = 0;
  for (let i = 0; i < 3; i++) {
    new Worker(__filename, { workerData: { shared, i } })
      .on('message', (value) => { sum += value; })
      .on('exit', () => { if (!--left) console.log(sum, Atomics.load(new Int32Array(shared), 0)); });
  }
} else {
  const counter = new Int32Array(workerData.shared);
  for (let i = 0; i < 10000; i++) Atomics.add(counter, 0, 1);
  parentPort.postMessage(workerData.i * 10);
}
