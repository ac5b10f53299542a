/**
 * What a malicious peer may answer and a malicious caller may send: the front's machinery in this process, in front of
 * a service that may send anything. Every case ends with an answer or a close, and this process survives.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { frontOf } from './http-front.ts'
import { eventually, Stage } from './harness.ts'
import { everything, noise, open, serve, some, within } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

const ANSWERS: readonly (readonly [what: string, bytes: string, expected: RegExp])[] = [
  ['something other than HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', /^HTTP\/1\.1 502 [\s\S]*Pilot-Error: BAD_RESPONSE/],
  ['nothing, then closes', '', /^HTTP\/1\.1 502 [\s\S]*Pilot-Error: PEER_RESET/],
  ['an impossible status', 'HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1\.1 502 /],
  ['a reason with control characters', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok', /^HTTP\/1\.1 (502|200) /],
  [
    'trailers announced for a body with Content-Length',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: X\r\n\r\nok',
    /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nok$/,
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk', /^HTTP\/1\.1 502 /],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    /^HTTP\/1\.1 502 /,
  ],
  [
    'an upgrade that was not requested',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    /^HTTP\/1\.1 502 /,
  ],
  [
    'a header with a control character',
    'HTTP/1.1 200 OK\r\nX: a\x02b\r\nContent-Length: 2\r\n\r\nok',
    /^HTTP\/1\.1 502 /,
  ],
  ['endless headers', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(5_000)}`, /^HTTP\/1\.1 502 /],
  [
    'trailers with control characters',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: a\x02b\r\n\r\n',
    /^HTTP\/1\.1 200 /,
  ],
  [
    'early hints, then an answer',
    'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload; as=style\r\nLink: </y>; rel=preload; as=script\r\nX-Own: kept\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/x>; rel=preload; as=style, <\/y>; rel=preload; as=script\r\nx-own: kept\r\n\r\nHTTP\/1\.1 200 [\s\S]*ok$/,
  ],
  [
    'malformed hints, then an answer',
    'HTTP/1.1 103 Early Hints\r\nLink: nonsense\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    /^HTTP\/1\.1 200 [\s\S]*ok$/,
  ],
  [
    'an answer that ends with the connection',
    'HTTP/1.0 200 OK\r\n\r\nall of it',
    /^HTTP\/1\.1 200 [\s\S]*9\r\nall of it\r\n0\r\n\r\n$/,
  ],
]

for (const [what, bytes, expected] of ANSWERS) {
  test(`a service that answers ${what}`, async () => {
    for (const method of ['GET', 'HEAD', 'POST']) {
      const service = await serve(
        stage,
        (socket) => void socket.once('data', () => socket.end(Buffer.from(bytes, 'latin1'))),
      )
      const client = await open(stage, await frontOf(stage, service.address))
      client.write(`${method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      const reply = (await everything(client).catch((error: Error) => Buffer.from(`cut: ${error.message}`))).toString(
        'latin1',
      )
      if (method !== 'HEAD')
        assert.match(reply, what.startsWith('trailers with') ? /^HTTP\/1\.1 200 |^cut: / : expected)
      else assert.match(reply, /^HTTP\/1\.1 |^cut: /)
    }
  })
}

test('a caller that sends nonsense, too much or nothing is answered or disconnected', async () => {
  const service = await serve(
    stage,
    (socket) => void socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  )
  const front = await frontOf(stage, service.address)
  const say = async (bytes: string | Buffer): Promise<string> => {
    const client = await open(stage, front)
    client.write(bytes)
    return (await some(client)).toString('latin1')
  }
  assert.match(await say('nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(
    await say(`GET / HTTP/1.1\r\nHost: x\r\n${`X: ${'y'.repeat(1_000)}\r\n`.repeat(30)}\r\n`),
    /^HTTP\/1\.1 431 /,
  )
  assert.match(await say('GET / HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await say('PRI / HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const early = await open(stage, front)
  early.end('PR')
  assert.equal((await everything(early)).length, 0)
  const half = await open(stage, front)
  half.write('P')
  half.write('OST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab')
  assert.match((await some(half)).toString(), /^HTTP\/1\.1 200 /)
  const preface = await open(stage, front)
  preface.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), noise(10_000)]))
  preface.resume()
  await within(
    'its end',
    new Promise((resolve) => {
      preface.once('close', resolve).once('end', () => preface.destroy())
    }),
  )
})

test('a caller that sends no request head, an incomplete one or a slow one is disconnected; a slow body is allowed', async () => {
  const service = await serve(
    stage,
    (socket) =>
      void socket.on('data', (bytes) => {
        if (bytes.includes('end')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
  )
  const front = await frontOf(stage, service.address, 300)
  const silent = await open(stage, front)
  const half = await open(stage, front)
  half.write('GET / HTTP/1.1\r\nHost: x\r\n')
  const dribbling = await open(stage, front)
  dribbling.on('error', () => {})
  dribbling.write('GET / HTTP/1.1\r\nHost: x\r\n')
  const drops = setInterval(() => dribbling.write('X: y\r\n'), 50)
  const slow = await open(stage, front)
  slow.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nslow ')
  const kept = await open(stage, front)
  kept.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nend')
  assert.match((await some(kept)).toString(), /^HTTP\/1\.1 200 /)
  assert.equal((await everything(silent)).length, 0)
  for (const socket of [half, dribbling])
    assert.match(
      (await everything(socket)).toString(),
      /^HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*Pilot-Error: TIMED_OUT/,
    )
  clearInterval(drops)
  slow.write('it end')
  assert.match((await some(slow)).toString(), /^HTTP\/1\.1 200 /)
  kept.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nend')
  assert.match(
    (await some(kept)).toString(),
    /^HTTP\/1\.1 200 /,
    'silence between requests is allowed, silence within a head is not',
  )
})

test('a WebSocket within HTTP/2 becomes one over HTTP/1.1: subprotocol chosen, bytes both ways, either end closes the other', async () => {
  const server = createHttpServer((_, response) => response.writeHead(426).end('no socket here'))
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'chat' })
  server.on('upgrade', (request, socket, head) => {
    if (request.url !== '/talk?x=1')
      return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.send(`${request.headers.host} ${request.headers['x-own']} ${request.headers['pilot-node']}`)
      client.on('message', (data) => client.send(`heard ${String(data)}`))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    for (const client of sockets.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  })
  const front = await frontOf(stage, `127.0.0.1:${(server.address() as AddressInfo).port}`)
  const session = connectHttp2(`http://127.0.0.1:${front.port}`)
  session.on('error', () => {})
  stage.defer(async () => session.destroy())
  await new Promise((resolve) => session.once('remoteSettings', resolve))
  assert.equal(session.remoteSettings.enableConnectProtocol, true)
  const ask = (
    path: string,
    protocol = 'websocket',
  ): { readonly head: Promise<IncomingHttpHeaders>; readonly stream: ClientHttp2Stream } => {
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': protocol,
      ':scheme': 'http',
      ':authority': 'app.pilot',
      ':path': path,
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat',
      'x-own': 'kept',
      'pilot-node': '666',
    })
    stream.on('error', () => {})
    return {
      stream,
      head: new Promise((resolve) => {
        stream.once('response', resolve)
      }),
    }
  }
  const talk = ask('/talk?x=1')
  const {
    ':status': status,
    'sec-websocket-protocol': protocol,
    'sec-websocket-accept': accept,
  } = await within('the answer', talk.head)
  assert.deepEqual([status, protocol, accept], [200, 'chat', undefined])
  let heard = ''
  talk.stream.on('data', (part: Buffer) => {
    heard += part.toString('latin1')
  })
  talk.stream.write(Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('hello')])) // one masked text frame (RFC 6455 §5.2)
  await eventually('an echo', () => heard.includes('heard hello') || undefined)
  assert.match(heard, /app\.pilot kept undefined/)
  for (const client of sockets.clients) client.close()
  await eventually('its close frame', () => heard.includes('\x88') || undefined)
  talk.stream.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]))
  await within(
    'its end',
    new Promise((resolve) => {
      talk.stream.once('close', resolve)
    }),
  )
  assert.equal((await within('a refusal', ask('/other').head))[':status'], 403)
  const refused = await within('a refusal', ask('/talk?x=1', 'connect-udp').head)
  assert.deepEqual([refused[':status'], refused['pilot-error']], [400, 'USAGE'])
})

test('an HTTP/2 stream fails if the service lacks HTTP/2, closes at once or sends garbage; the next one may work', async () => {
  for (const bytes of ['HTTP/1.1 400 Bad Request\r\n\r\n', '', noise(5_000).toString('latin1')]) {
    const service = await serve(
      stage,
      (socket) => void socket.once('data', () => socket.end(Buffer.from(bytes, 'latin1'))),
    )
    const { host, port } = await frontOf(stage, service.address)
    const session = connectHttp2(`http://${host}:${port}`)
    stage.defer(async () => {
      session.destroy()
    })
    session.on('error', () => {})
    for (let round = 0; round < 2; round++) {
      const request = session.request({ ':path': '/' })
      const outcome = await within(
        'an outcome',
        new Promise<string>((resolve) => {
          request.once('response', (headers) => resolve(String(headers[':status'])))
          request.once('error', (error: Error) => resolve(error.message))
          request.once('close', () => resolve(`closed ${request.rstCode}`))
        }),
      )
      assert.match(outcome, /^50\d$|NGHTTP2|closed [1-9]/)
    }
    session.destroy()
  }
})
