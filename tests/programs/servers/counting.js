// SPDX-License-Identifier: MIT
// Counts its requests wherever it can keep a number and repeats each client's nonce.
const fs = require('fs')
const http = require('http')

let served = 0
let watched = 0
const kept = Buffer.alloc(4)

function inFile () {
	fs.appendFileSync('/dev/shm/served', 'x')
	return fs.readFileSync('/dev/shm/served').length
}

function inEnvironment () {
	process.env.SERVED = (process.env.SERVED || '') + 'x'
	return process.env.SERVED.length
}

function inDescriptors () {
	fs.openSync('/dev/shm/open', 'a') // stays open
	return fs.readdirSync('/proc/self/fd').filter(number => {
		try {
			return fs.readlinkSync('/proc/self/fd/' + number) === '/dev/shm/open'
		} catch {
			return false
		}
	}).length
}

function inHandlers () {
	process.on('beforeExit', () => watched++)
	return process.listenerCount('beforeExit')
}

function count () {
	served++
	kept.writeInt32LE(kept.readInt32LE() + 1)
	return `${served} ${kept.readInt32LE()} ${inFile()} ${inEnvironment()} ${inDescriptors()} ${inHandlers()} `
}

function die (how) {
	if (how % 3 === 0) process.abort()
	if (how % 3 === 1) process.reallyExit(1)
	process.kill(process.pid, 'SIGKILL')
}

function bodyOf (path, nonce, sent) {
	if (path === '/echo') return sent
	if (path === '/large') return nonce.repeat(Math.floor((96 << 10) / nonce.length))
	if (path.startsWith('/crash')) die(Number(path.split('/')[2]))
	while (path === '/spin');
	return path.startsWith('/after') ? nonce : count() + nonce
}

http.createServer((request, response) => {
	const [path, nonce] = request.url.split('?')
	const parts = []

	request.on('data', part => parts.push(part))
	request.on('end', () => {
		const body = Buffer.from(bodyOf(path, nonce, Buffer.concat(parts)))

		response.setHeader('X-Nonce', nonce)
		response.setHeader('Content-Length', body.length)
		response.end(body, () => path.startsWith('/after') && die(Number(path.split('/')[2])))
	})
}).listen(8000)
