// SPDX-License-Identifier: MIT
// node:http, which answers in chunks and after a timer.
const http = require('http')
let served = 0

http.createServer((request, response) => {
	served++
	request.resume()
	request.on('end', () => setTimeout(() => {
		response.write('')
		response.end(String(served))
	}, 1))
}).listen(8000)
