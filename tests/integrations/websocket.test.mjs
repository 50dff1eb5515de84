// The ws library on both ends of a tunnel. DOMICILE_TEST: door, token, port of the application.
import assert from 'node:assert'
import crypto from 'node:crypto'
import test from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'

const { door, token, port } = JSON.parse(process.env.DOMICILE_TEST)
const heads = []
const server = new WebSocketServer({
  port, host: '127.0.0.1', maxPayload: 1 << 26, perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => [...offered][0] ?? false,
})
server.on('connection', (socket, request) => {
  heads.push(request)
  socket.on('message', (data, binary) => socket.send(data, { binary }))
})
const url = `ws://127.0.0.1:${door}/orgs/1/live?room=5`
const headers = { authorization: `Bearer ${token}` }
const opened = (socket) => new Promise((yes, no) => socket.on('open', () => yes(socket)).on('error', no))
const next = (socket) => new Promise((yes) => socket.once('message', (data, binary) => yes([data, binary])))

test.after(() => { for (const client of server.clients) client.terminate(); server.close() })

test('texts, compressed and large messages come back as they were sent', async () => {
  const socket = await opened(new WebSocket(url, 'chat', { headers }))
  assert.equal(socket.protocol, 'chat')
  assert.match(socket.extensions, /permessage-deflate/)
  for (const size of [0, 1, 125, 126, 65535, 65536, 5_000_000]) {
    const sent = crypto.randomBytes(size)
    const [data, binary] = await (socket.send(sent), next(socket))
    assert.ok(binary && data.equals(sent), `${size} bytes`)
  }
  const [text, binary] = await (socket.send('grüße'), next(socket))
  assert.deepEqual([text.toString(), binary], ['grüße', false])
  const closed = new Promise((yes) => socket.on('close', (code, reason) => yes([code, reason.toString()])))
  socket.close(4001, 'enough')
  assert.deepEqual(await closed, [4001, 'enough'])
  assert.equal(heads[0].url, '/orgs/1/live?room=5')
  assert.equal(heads[0].headers['domicile-organization'], '1')
  assert.equal(heads[0].headers.authorization, undefined)
})

test('a browser gives its token as a subprotocol, and the application never sees it', async () => {
  const socket = await opened(new WebSocket(url, [`domicile.bearer.${token}`, 'chat']))
  assert.equal(socket.protocol, 'chat')
  assert.equal(heads.at(-1).headers['sec-websocket-protocol'], 'chat')
  socket.terminate()
})

test('without a token, for another organization, or on another route there is no tunnel', async () => {
  const status = (address, options) => new Promise((yes) => {
    const socket = new WebSocket(address, options).on('error', () => {})
    socket.on('unexpected-response', (request, answer) => { request.destroy(); yes(answer.statusCode) })
  })
  assert.equal(await status(url, {}), 401)
  assert.equal(await status(url.replace('/orgs/1/', '/orgs/2/'), { headers }), 403)
})
