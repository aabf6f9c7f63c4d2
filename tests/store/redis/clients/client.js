// SPDX-License-Identifier: MIT
// A web server with node-redis, whose connection is open before the server listens: it is part of the image.
const http = require('http')
const { createClient } = require('redis')

const store = createClient({ socket: { path: '/run/mayfly/redis.sock' } })
store.on('error', (error) => console.error('redis:', error.message))

async function suite() {
  const said = []
  said.push(await store.ping())
  said.push(await store.set('n', 1), await store.incrBy('n', 41), await store.get('n'), await store.get('none'))
  said.push(await Promise.all([store.set('a', 'x'), store.get('a'), store.del('a'), store.exists('a')]))
  said.push(await store.hSet('h', { x: '1', y: '2' }), await store.hGetAll('h'))
  said.push(await store.multi().set('m', '1').incr('m').get('m').exec())
  const keys = []
  for await (const key of store.scanIterator({ MATCH: '*', COUNT: 2 })) keys.push(key)
  said.push(keys.sort())
  try {
    await store.incr('h')
  } catch (error) {
    said.push(error.message)
  }
  return said
}

async function main() {
  await store.connect()
  http.createServer(async (request, answer) => {
    let said
    try {
      said = request.url === '/suite' ? await suite() : await store.sendCommand(request.url.slice(1).split('/'))
    } catch (error) {
      said = `${error.name}: ${error.message}`
    }
    answer.end(JSON.stringify(said))
  }).listen(8000, '127.0.0.1')
}

main()
