// SPDX-License-Identifier: MIT
// A storage program on Node: an echo, and a sum that is kept in a file.
'use strict';
const fs = require('fs');
const net = require('net');

const folder = process.argv[process.argv.length - 2];
const file = fs.openSync(`${folder}/sum`, 'w+');
let sum = 0;

function call(socket, frame) {
	const code = frame.readUInt32LE(4);
	const payload = frame.subarray(24);
	let status = 0;
	let data = payload;

	if (code === 2) {
		sum += payload.readUInt32LE(0);
		data = Buffer.from(String(sum));
		fs.writeSync(file, data, 0, data.length, 0);
	} else if (code !== 1) {
		status = -38;
		data = Buffer.alloc(0);
	}
	const head = Buffer.alloc(16);
	head.writeUInt32LE(16 + data.length, 0);
	head.writeInt32LE(status, 4);
	frame.copy(head, 8, 8, 16);
	socket.write(Buffer.concat([head, data]));
}

net.createServer((socket) => {
	let held = Buffer.alloc(0);

	socket.on('data', (more) => {
		held = held.length ? Buffer.concat([held, more]) : more;
		while (held.length >= 4 && held.length >= held.readUInt32LE(0)) {
			const size = held.readUInt32LE(0);

			call(socket, held.subarray(0, size));
			held = held.subarray(size);
		}
	});
}).listen('/run/mayfly/calls.sock');
