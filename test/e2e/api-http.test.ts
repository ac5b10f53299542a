/** HTTP for developers: PilotAgent, pilotConnect, serveHttp, serveHttp2 and callerOf, between two nodes in this process. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import * as http2 from 'node:http2'
import type { Socket } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import type { Duplex } from 'node:stream'
import * as undici from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { callerOf } from '../../src/api/caller.ts'
import { pilotConnect } from '../../src/api/connect.ts'
import { PilotAgent } from '../../src/api/pilot-agent.ts'
import { serveHttp, serveHttp2 } from '../../src/api/serve.ts'
import { testnet } from '../../src/api/testnet.ts'
import type { Testnet } from '../../src/api/testnet.ts'
import { PilotError } from '../../src/base/errors.ts'
import { driven, twoNodes } from './two-nodes.ts'
import type { Overlay } from '../../src/runtime/overlay.ts'

let net: Testnet
let a: Overlay
let b: Overlay
let connections = 0

const server = createServer((message, response) => {
  if (message.url === '/hang') return
  const digest = createHash('sha256')
  message.on('data', (part: Buffer) => digest.update(part))
  message.on('end', () =>
    response.end(
      JSON.stringify({
        url: message.url,
        host: message.headers.host,
        caller: callerOf(message),
        digest: digest.digest('hex'),
      }),
    ),
  )
}).on('connection', () => {
  connections += 1
})

before(async () => {
  net = await testnet({ nodes: 2 })
  a = net.nodes[0]!
  b = net.nodes[1]!
  await serveHttp(b, 80, server)
  await serveHttp(b, 8080, server)
})

after(async () => {
  server.closeAllConnections()
  await net.stop()
})

async function ask(
  options: RequestOptions | string,
  agent: PilotAgent,
  body?: Buffer,
): Promise<Record<string, unknown>> {
  const sent =
    typeof options === 'string'
      ? request(options, { agent, method: body === undefined ? 'GET' : 'POST' })
      : request({ ...options, agent })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return JSON.parse(await text(response)) as Record<string, unknown>
}

test('http.request reaches a peer by every form of host name, and the server knows the caller', async () => {
  const agent = new PilotAgent(a)
  const me = { nodeId: a.nodeId, address: a.address, name: 'agent-1' }
  assert.deepEqual(await ask('http://agent-2.pilot/x', agent), {
    url: '/x',
    host: 'agent-2.pilot',
    caller: me,
    digest: createHash('sha256').digest('hex'),
  })
  assert.deepEqual((await ask('http://agent-2.pilot.localhost:8080/y', agent))['host'], 'agent-2.pilot.localhost:8080')
  assert.deepEqual((await ask(`http://${b.nodeId}.pilot/`, agent))['caller'], me)
  assert.deepEqual((await ask({ host: `[${b.address}]`, path: '/z' }, agent))['url'], '/z')
  agent.destroy()
})

test('ten requests in a row share one connection; without keepAlive each has its own', async () => {
  const agent = new PilotAgent(a)
  const [before, pooled] = [connections, () => connections - before]
  for (let round = 0; round < 10; round++) await ask('http://agent-2.pilot/', agent)
  assert.equal(pooled(), 1)
  agent.destroy()
  const single = new PilotAgent(a, { keepAlive: false })
  for (let round = 0; round < 10; round++) await ask('http://agent-2.pilot/', single)
  assert.equal(pooled(), 11)
})

test('a kept-alive connection accumulates no listeners across requests', async () => {
  const agent = new PilotAgent(a)
  const sockets = new Set<Socket>()
  let listeners = 0
  for (let round = 0; round < 15; round++) {
    const sent = request('http://agent-2.pilot/', { agent, timeout: 5_000 }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    sockets.add(response.socket)
    listeners = response.socket.listenerCount('timeout')
    await text(response)
  }
  assert.equal(sockets.size, 1)
  assert.ok(listeners <= 3, `${listeners} listeners for its time-out`)
  agent.destroy()
})

test('a 4 MB answer with Connection: close arrives complete, and the connection closes', async () => {
  const big = randomBytes(4_000_000)
  const once4 = createServer((_, response) => response.writeHead(200, { connection: 'close' }).end(big))
  const listener = await serveHttp(b, 83, once4)
  const sent = request('http://agent-2.pilot:83/', { agent: new PilotAgent(a) }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  assert.ok(big.equals(await buffer(response)))
  if (!response.socket.destroyed) await once(response.socket, 'close')
  listener.close()
})

test('an 8 MB body arrives complete', async () => {
  const agent = new PilotAgent(a)
  const body = randomBytes(8_000_000)
  assert.equal(
    (await ask('http://agent-2.pilot/', agent, body))['digest'],
    createHash('sha256').update(body).digest('hex'),
  )
  agent.destroy()
})

test('a failed dial fails the request with its code, and no host outside the overlay is contacted', async () => {
  const agent = new PilotAgent(a)
  const codes: Readonly<Record<string, readonly string[]>> = {
    'http://agent-2.pilot:81/': ['CONNECTION_REFUSED'],
    'http://nobody.pilot/': ['NOT_FOUND', 'NOT_TRUSTED'],
    'http://127.0.0.1:80/': ['USAGE'],
    'http://example.com/': ['USAGE'],
  }
  for (const [url, expected] of Object.entries(codes)) {
    await assert.rejects(ask(url, agent), (error) => error instanceof PilotError && expected.includes(error.code), url)
  }
  agent.destroy()
})

test('maxSockets counts connections being dialled, and a failed one makes room for the next request', async () => {
  const agent = new PilotAgent(a, { maxSockets: 3 })
  const before = connections
  await Promise.all(Array.from({ length: 30 }, () => ask('http://agent-2.pilot/', agent)))
  assert.ok(connections - before <= 3, `${connections - before} connections`)
  const refused = await Promise.all(
    Array.from({ length: 12 }, () =>
      ask('http://agent-2.pilot:81/', agent).then(
        () => 'answered',
        (error: PilotError) => error.code,
      ),
    ),
  )
  assert.deepEqual(
    refused,
    Array.from({ length: 12 }, () => 'CONNECTION_REFUSED'),
  )
  const signal = AbortSignal.timeout(20)
  const never = new PilotAgent(
    {
      dial: async (_target, aborted) =>
        await new Promise((_, reject) => {
          aborted!.addEventListener('abort', () => reject(new Error('given up')))
        }),
    },
    { maxSockets: 1 },
  )
  assert.equal(
    ((await once(request('http://agent-2.pilot/', { agent: never, signal }).end(), 'error')) as [Error])[0].name,
    'AbortError',
  )
  agent.destroy()
})

test('an abort or a timeout ends a pending request', async () => {
  const agent = new PilotAgent(a)
  const abort = new AbortController()
  const aborted = request('http://agent-2.pilot/hang', { agent, signal: abort.signal }).end()
  setTimeout(() => abort.abort(), 50)
  assert.equal(((await once(aborted, 'error')) as [Error])[0].name, 'AbortError')
  const late = request('http://agent-2.pilot/hang', { agent, timeout: 50 }).end()
  await once(late, 'timeout')
  late.destroy()
  await assert.rejects(once(late, 'response'), { code: 'ECONNRESET' })
  agent.destroy()
})

test('a connection closed by the server is not reused', async () => {
  const agent = new PilotAgent(a)
  await ask('http://agent-2.pilot/', agent)
  server.closeIdleConnections()
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal((await ask('http://agent-2.pilot/again', agent))['url'], '/again')
  agent.destroy()
})

test('a connection refused by allow looks as if nothing were listening', async () => {
  const listener = await serveHttp(b, 82, server, { allow: ({ name }) => name !== 'agent-1' })
  const agent = new PilotAgent(a)
  await assert.rejects(ask('http://agent-2.pilot:82/', agent), { code: 'CONNECTION_REFUSED' })
  listener.close()
  agent.destroy()
})

test('a WebSocket from the ws package reaches a WebSocketServer through the agent', async () => {
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (message, socket, head) =>
    sockets.handleUpgrade(message, socket, head, (client) =>
      client.on('message', (data) => client.send(`${callerOf(message)!.name} said ${String(data)}`)),
    ),
  )
  const client = new WebSocket('ws://agent-2.pilot/', { agent: new PilotAgent(a) })
  await once(client, 'open')
  client.send('hello')
  assert.equal(String(((await once(client, 'message')) as [Buffer])[0]), 'agent-1 said hello')
  client.close()
  await once(client, 'close')
})

test('the connect function for undici calls back once, with a stream or an error, and refuses https', async () => {
  const connect = pilotConnect(a)
  const answer = (options: Parameters<typeof connect>[0]): Promise<[PilotError | null, Duplex | null]> =>
    new Promise((resolve) => {
      connect(options, (...result) => resolve(result))
    })
  const [error, stream] = await answer({ hostname: 'agent-2.pilot', protocol: 'http:', port: '' })
  assert.equal(error, null)
  stream!.write('GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  assert.match(await text(stream!), /^HTTP\/1\.1 200 OK[\s\S]*"\/raw"/)
  assert.equal(
    (await answer({ hostname: 'agent-2.pilot', protocol: 'http:', port: '81' }))[0]?.code,
    'CONNECTION_REFUSED',
  )
  assert.equal((await answer({ hostname: 'agent-2.pilot', protocol: 'https:', port: '443' }))[0]?.code, 'USAGE')
})

test("undici, and Node's fetch, work over the overlay: requests, streams in both directions, errors with their codes, kept connections", async () => {
  const dispatcher = new undici.Agent({ connections: 2, connect: pilotConnect(a) as undici.buildConnector.connector })
  const before = connections
  const body = randomBytes(3_000_000)
  const digest = createHash('sha256').update(body).digest('hex')
  for (let round = 0; round < 5; round++) {
    const { statusCode, body: answer } = await undici.request('http://agent-2.pilot/r', {
      dispatcher,
      method: 'POST',
      body,
    })
    const { url, digest: heard } = (await answer.json()) as Record<string, unknown>
    assert.deepEqual([statusCode, url, heard], [200, '/r', digest])
  }
  assert.ok(connections - before <= 2, `${connections - before} connections for five requests in a row`)
  const streamed = await undici.fetch('http://agent-2.pilot.localhost:8080/s', {
    dispatcher,
    method: 'POST',
    duplex: 'half',
    body: Readable.from([body.subarray(0, 1_000_000), body.subarray(1_000_000)]),
  })
  assert.equal(((await streamed.json()) as Record<string, unknown>)['digest'], digest)
  if (process.versions['undici']?.startsWith('6.') === true) {
    // the one in Node 20 and 22
    const builtIn = await fetch('http://agent-2.pilot/f', { dispatcher } as unknown as RequestInit)
    assert.deepEqual(((await builtIn.json()) as Record<string, unknown>)['url'], '/f')
  }
  const many = await Promise.all(
    Array.from(
      { length: 50 },
      async (_, index) =>
        (
          (await (await undici.fetch(`http://agent-2.pilot/${index}`, { dispatcher })).json()) as Record<
            string,
            unknown
          >
        )['url'],
    ),
  )
  assert.deepEqual(
    many,
    Array.from({ length: 50 }, (_, index) => `/${index}`),
  )
  await assert.rejects(undici.request('http://agent-2.pilot:81/', { dispatcher }), { code: 'CONNECTION_REFUSED' })
  await assert.rejects(
    undici.fetch('http://example.com/', { dispatcher }),
    (error: Error) => (error.cause as PilotError).code === 'USAGE',
  )
  const abort = new AbortController()
  const hanging = undici.request('http://agent-2.pilot/hang', { dispatcher, signal: abort.signal })
  setTimeout(() => abort.abort(), 50)
  await assert.rejects(hanging, { name: 'AbortError' })
  await dispatcher.close()
})

test('an http2 server on an overlay port: requests, trailers, many streams, and the caller', async () => {
  const server2 = http2.createServer((message, response) => {
    response.setHeader('caller', callerOf(message)!.name)
    response.addTrailers({ grade: 'fine' })
    message.pipe(response)
  })
  const seen: (string | undefined)[] = []
  server2.on('stream', (stream) => seen.push(callerOf(stream)?.name))
  const listener = await serveHttp2(b, 8443, server2)
  const stream = await a.dial('agent-2:8443')
  const session = http2.connect('http://agent-2.pilot', { createConnection: () => stream as Duplex as Socket })
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const call = session.request({ ':method': 'POST', ':path': '/' })
      const trailers = once(call, 'trailers') as Promise<[http2.IncomingHttpHeaders]>
      const head = once(call, 'response') as Promise<[http2.IncomingHttpHeaders]>
      call.end(`body ${index}`)
      assert.equal((await head)[0]['caller'], 'agent-1')
      assert.equal(await text(call), `body ${index}`)
      assert.equal((await trailers)[0]['grade'], 'fine')
    }),
  )
  assert.deepEqual(new Set(seen), new Set(['agent-1']))
  listener.close()
  await new Promise<void>((resolve) => session.close(resolve))
})

test('agent and server also work in driver mode', async () => {
  const { stage, a: near, b: far } = await twoNodes()
  try {
    const [client, service] = [await driven(stage, near), await driven(stage, far)]
    const echo = createServer((message, response) => {
      message.pipe(response)
    })
    await serveHttp(service, 8080, echo)
    const agent = new PilotAgent(client)
    const body = randomBytes(500_000)
    for (let round = 0; round < 3; round++) {
      const sent = request(`http://${far.nodeId}.pilot:8080/`, { agent, method: 'POST' }).end(body)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      assert.ok(body.equals(await buffer(response)))
    }
    agent.destroy()
    echo.closeAllConnections()
  } finally {
    await stage.close()
  }
})
