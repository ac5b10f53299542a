/**
 * Answers a service can give that make Node's HTTP servers throw: every odd status, every header twice, in each version
 * that reaches the front. In every case that one stream is answered or ended and this process survives: an exception in
 * a callback fails the run.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { createServer as createHttp } from 'node:http'
import { format, Stage } from './harness.ts'
import type { Address } from './harness.ts'
import { dataFrame, frontOf, goawayFrame, headersFrame, rawHttp2, resetFrame } from './http-front.ts'
import type { Field } from './http-front.ts'
import { everything, open, serve, some, within } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

const STATUSES = ['200', '204', '304', '404', '599', '600', '999', '099', '000', '100', '101', '103', '20', 'abc', '']
const EXTRAS: readonly (readonly Field[])[] = [
  [],
  ...['etag', 'date', 'content-type', 'content-length', 'location', 'age', 'retry-after', 'server'].map(
    (name): readonly Field[] => [
      [name, '1'],
      [name, '2'],
    ],
  ),
  [['connection', 'close']],
  [['transfer-encoding', 'chunked']],
  [['Upper-Case', 'x']],
  [[':path', '/']],
  [['te', 'gzip']],
  [['set-cookie', 'a=\x01']],
  [['x-latin', '\xe4']],
  [['constructor', 'x']],
  [['__proto__', 'x']],
]

test(`HTTP/2: ${STATUSES.length} statuses × ${EXTRAS.length} header lists × body or none: each gets an answer or a reset`, async () => {
  const cases = STATUSES.flatMap((status) =>
    EXTRAS.flatMap((extra) => [true, false].map((body) => ({ status, extra, body }))),
  )
  const service = await rawHttp2(stage, (stream, nth) => {
    const { status, extra, body } = cases[(nth - 1) % cases.length]!
    const head = headersFrame(stream, [[':status', status], ...extra], !body)
    return body ? [head, dataFrame(stream, 'x', true)] : [head]
  })
  const front = await frontOf(stage, service)
  const outcomes = new Map<string, number>()
  for (let index = 0; index < cases.length; index++) {
    const outcome = await askOnce(front)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    assert.match(outcome, /^(answered [2-5]\d\d|reset \d+|session error)$/, JSON.stringify(cases[index]))
  }
  assert.ok((outcomes.get('answered 502') ?? 0) > 10, JSON.stringify([...outcomes]))
  assert.ok((outcomes.get('answered 200') ?? 0) >= 8, JSON.stringify([...outcomes]))
})

test('HTTP/2: pseudo headers, oversized and empty trailers pass or end the stream, and nothing else', async () => {
  const trailers: readonly (readonly Field[])[] = [
    [],
    [[':status', '200']],
    [['grpc-status', '0']],
    [['connection', 'x']],
    [['x', '\x00']],
    Array.from({ length: 180 }, (_, index): Field => [`x-${index}`, 'y'.repeat(60)]),
  ]
  const service = await rawHttp2(stage, (stream, nth) => [
    headersFrame(stream, [[':status', '200']], false),
    dataFrame(stream, 'x', false),
    headersFrame(stream, trailers[(nth - 1) % trailers.length]!, true),
  ])
  const front = await frontOf(stage, service)
  for (const list of trailers)
    assert.match(await askOnce(front), /^(answered 200|answered 502|reset \d+|session error)$/, JSON.stringify(list[0]))
})

test('a WebSocket within HTTP/2 whose service answers in HTTP/1.1 with any status and duplicated headers gets an answer or a reset', async () => {
  const heads = STATUSES.filter((status) => /^\d{3}$/.test(status)).flatMap((status) =>
    EXTRAS.filter((extra) => extra.every(([name]) => !name.startsWith(':'))).map(
      (extra) =>
        `HTTP/1.1 ${status} X\r\n${extra.map(([name, value]) => `${name}: ${value}\r\n`).join('')}${status === '101' ? 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n' : 'Connection: close\r\n'}\r\n`,
    ),
  )
  let next = 0
  const service = await serve(
    stage,
    (socket) => void socket.once('data', () => socket.end(Buffer.from(heads[next++ % heads.length]!, 'latin1'))),
  )
  const front = await frontOf(stage, service.address)
  for (const head of heads)
    assert.match(
      await askOnce(front, { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', ':scheme': 'http' }),
      /^(answered [2-5]\d\d|reset \d+)$/,
      head,
    )
})

test('a stream refused by the service is refused to the client, which may retry it; without a body it is retried here', async () => {
  const service = await rawHttp2(stage, (stream, nth) =>
    nth % 2 === 1 ? [resetFrame(stream, 7)] : [headersFrame(stream, [[':status', '200']], true)],
  )
  const front = await frontOf(stage, service)
  assert.equal(await askOnce(front, { ':method': 'POST' }, 'body'), 'reset 7')
  assert.equal(await askOnce(front, { ':method': 'POST' }, 'body'), 'answered 200')
  assert.equal(await askOnce(front), 'answered 200', 'a GET is retried, and the second try succeeds')
})

test('GOAWAY after every answer fails no request, whatever its method', async () => {
  const service = await rawHttp2(stage, (stream) => [
    headersFrame(stream, [[':status', '200']], true),
    goawayFrame(stream),
  ])
  const session = connectHttp2(`http://${format(await frontOf(stage, service))}`)
  session.on('error', () => {})
  for (let round = 0; round < 20; round++) {
    const outcomes = await Promise.all([1, 2, 3].map(() => ask(session, { ':method': 'POST', ':path': '/' }, 'x')))
    for (const outcome of outcomes) assert.match(outcome, /^(answered 200|reset 7)$/)
  }
  session.destroy()
})

test('an HTTP/2 client that expects 100 before its body receives it', async () => {
  const service = await rawHttp2(stage, (stream) => [headersFrame(stream, [[':status', '200']], true)])
  const session = connectHttp2(`http://${format(await frontOf(stage, service))}`)
  const request = session.request({ ':method': 'POST', expect: '100-continue' })
  await within(
    '100',
    new Promise<void>((resolve) => {
      request.once('continue', resolve)
    }),
  )
  request.end('body')
  request.resume()
  session.destroy()
})

test('an extended CONNECT that announces a body does not affect the next request on the connection', async () => {
  const seen: string[] = []
  const server = createHttp((req, res) => {
    seen.push(`${req.method} ${req.url} ${req.headers['content-length'] ?? '-'}`)
    res.end('no upgrade here')
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as { port: number }
  const front = await frontOf(stage, `127.0.0.1:${port}`)
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  const headers = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws', ':scheme': 'http' }
  assert.equal(
    await askOnce(front, { ...headers, 'content-length': String(smuggled.length) }, smuggled),
    'answered 200',
  )
  const client = await open(stage, front)
  client.write('GET /account HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match((await some(client)).toString(), /^HTTP\/1\.1 200/)
  assert.deepEqual(seen, ['GET /ws -', 'GET /account -'])
})

test('bytes beyond ASCII in header values arrive as they were sent, both ways, with and without a body', async () => {
  const value = Buffer.from('\xdcbersicht, Ü', 'latin1').toString('latin1') + Buffer.from('größe').toString('latin1')
  const service = await serve(stage, (socket) => {
    let seen = Buffer.alloc(0)
    socket.on('data', (part: Buffer) => {
      seen = Buffer.concat([seen, part])
      const text = seen.toString('latin1')
      if (!text.includes('\r\n\r\n') || (text.startsWith('POST') && !text.includes('body'))) return
      const got = /x-user: ([^\r]*)/i.exec(text)?.[1] ?? ''
      socket.end(
        Buffer.from(
          `HTTP/1.1 200 OK\r\nX-Got: ${got}\r\nX-Same: ${String(got === value)}\r\nContent-Length: 2\r\n\r\nok`,
          'latin1',
        ),
      )
    })
  })
  const front = await frontOf(stage, service.address)
  for (const [method, rest] of [
    ['GET', ''],
    ['POST', 'Content-Length: 4\r\n'],
    ['POST', 'Transfer-Encoding: chunked\r\n'],
  ] as const) {
    const body = method === 'GET' ? '' : rest.startsWith('T') ? '4\r\nbody\r\n0\r\n\r\n' : 'body'
    const client = await open(stage, front)
    client.write(
      Buffer.from(
        `${method} / HTTP/1.1\r\nHost: x\r\nX-User: ${value}\r\nConnection: close\r\n${rest}\r\n${body}`,
        'latin1',
      ),
    )
    const reply = (await everything(client)).toString('latin1')
    assert.ok(reply.includes(`X-Got: ${value}\r\n`) && reply.includes('X-Same: true'), `${method} ${rest} ${reply}`)
  }
})

test('an upgrade with a body arrives complete, and its connection is not shared', async () => {
  const body = JSON.stringify({ Detach: false, Tty: true })
  const service = await serve(stage, (socket) => {
    let [seen, upgraded] = ['', false]
    socket.on('data', (part: Buffer) => {
      seen += part.toString('latin1')
      if (!upgraded && seen.includes(body)) {
        upgraded = true
        seen = seen.slice(seen.indexOf(body) + body.length)
        socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello ')
      }
      if (upgraded && seen !== '') {
        socket.write(seen.toUpperCase())
        seen = ''
      }
    })
  })
  const front = await frontOf(stage, service.address)
  const head = `POST /exec/1/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  const pieces = [[head + body], [head, body], [`${head}${body}early`], [head, body.slice(0, 5), body.slice(5)]]
  for (const parts of pieces) {
    const client = await open(stage, front)
    let reply = ''
    client.on('data', (part: Buffer) => {
      reply += part.toString('latin1')
    })
    for (const part of parts) {
      client.write(part)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    client.write('ls\n')
    await within(
      'the echo',
      (async () => {
        while (!reply.includes('LS\n')) await new Promise((resolve) => setTimeout(resolve, 5))
      })(),
    )
    assert.match(reply, /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nhello (EARLY)?LS\n$/)
    client.destroy()
  }
})

test('CONNECT at the front is answered with 405 and what to use instead', async () => {
  const client = await open(stage, await frontOf(stage, '127.0.0.1:9'))
  client.write('CONNECT agent-b.pilot:443 HTTP/1.1\r\nHost: agent-b.pilot:443\r\n\r\n')
  assert.match((await everything(client)).toString(), /^HTTP\/1\.1 405 [\s\S]*proxy port/)
})

/** One request on its own session: how it ended. */
async function askOnce(front: Address, headers: IncomingHttpHeaders = {}, body?: string): Promise<string> {
  const session = connectHttp2(`http://${format(front)}`)
  let failed = false
  session.on('error', () => {
    failed = true
  })
  await new Promise((resolve) => {
    session.once('remoteSettings', resolve).once('close', resolve)
  })
  const outcome = await ask(session, headers, body)
  session.destroy()
  return failed ? 'session error' : outcome
}

function ask(session: ClientHttp2Session, headers: IncomingHttpHeaders, body?: string): Promise<string> {
  const request = session.request({ ':path': '/', ...headers } as IncomingHttpHeaders, {
    endStream: body === undefined && headers[':protocol'] === undefined,
  })
  if (body !== undefined) request.end(body)
  let outcome = ''
  request.on('error', () => {})
  request.once('response', (answer) => {
    outcome = `answered ${String(answer[':status'])}`
    if (headers[':protocol'] !== undefined) request.close()
  })
  request.resume()
  return within(
    'an end',
    new Promise((resolve) => {
      request.once('close', () => resolve(outcome === '' ? `reset ${request.rstCode}` : outcome))
    }),
  )
}
