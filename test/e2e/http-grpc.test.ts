/**
 * HTTP/2 without TLS over the overlay: `@grpc/grpc-js` on both ends, by four routes: a mapping (plain bytes) or the
 * front, each to an exposure that carries plain bytes or adds identity headers. And curl with --http2-prior-knowledge.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { connect, constants, createServer } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Client, credentials, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js'
import type {
  sendUnaryData,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  ServiceError,
  StatusObject,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { address, eventually, format, pair, Stage } from './harness.ts'
import type { Gateway } from './harness.ts'
import { findProgram, WAIT_MS } from './program.ts'
import { noise, summaryOf, within } from './servers.ts'

let stage: Stage
let service: ServiceDefinition
let a: Gateway
let b: Gateway
let cancelled = 0
const plain = { streams: 0, resets: [] as number[] }
before(async () => {
  stage = await Stage.open()
  service = await loadService()
  const config = stage.path('a.yaml')
  await writeFile(
    config,
    `version: 1
http: { listen: "127.0.0.1:0" }
map:
${[
  ['l4', 50],
  ['l7', 51],
  ['h2', 52],
  ['h2l7', 53],
  ['none', 54],
]
  .map(([name, port]) => `  - { name: ${name}, peer: agent-b, port: ${port}, local: "127.0.0.1:0" }\n`)
  .join('')}`,
  )
  const [grpc, h2] = [await grpcServer(), await h2Server()]
  ;({ a, b } = await pair(
    stage,
    { args: ['-c', config] },
    {
      expose: [
        `50=h2c://${grpc}`,
        `51=h2c://${grpc},identity=headers`,
        `52=h2c://${h2}`,
        `53=h2c://${h2},identity=headers`,
      ],
    },
  ))
})
after(async () => stage.close())

interface Way {
  readonly name: string
  readonly identity: boolean
  readonly client: () => Client
}
const ways: readonly Way[] = [
  { name: 'mapping, bytes', identity: false, client: () => clientOf(format(a.local('l4'))) },
  { name: 'mapping, identity', identity: true, client: () => clientOf(format(a.local('l7'))) },
  { name: 'front, bytes', identity: false, client: () => clientOf(a.ready.http!, 'l4.pilot.localhost') },
  { name: 'front, identity', identity: true, client: () => clientOf(a.ready.http!, 'l7.pilot.localhost') },
]

for (const way of ways) {
  test(`gRPC, every kind of call, metadata, trailers and status (${way.name})`, async () => {
    const client = way.client()
    const metadata = new Metadata()
    metadata.set('x-own', 'kept')
    metadata.set('x-own-bin', Buffer.from([0, 255, 7]))
    for (const name of ['pilot-node', 'pilot_node', 'pilot-key', 'pilot-anything', 'x-forwarded-for'])
      metadata.add(name, '666')
    const calls = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        unary(client, 'Say', `call ${index} ${'x'.repeat(index * 200)}`, metadata),
      ),
    )
    for (const [index, call] of calls.entries()) assert.match(call.reply!.text, new RegExp(`^you said call ${index} `))
    const { reply, head, end } = calls[0]!
    const got = JSON.parse(reply!.text.slice(reply!.text.indexOf('{'))) as Record<string, readonly string[]>
    assert.deepEqual(
      [
        got['x-own'],
        head.get('x-head'),
        end.metadata.get('x-trailer'),
        (end.metadata.get('x-trailer-bin')[0] as Buffer).toString('hex'),
      ],
      [['kept'], ['first'], ['last'], '00ff07'],
    )
    const { node } = await a.status()
    const forged = ['666']
    if (way.identity) {
      assert.deepEqual(
        [got['pilot-node'], got['pilot-hostname'], got['pilot-key'], got['pilot-address'], got['pilot-path']],
        [[String(node.nodeId)], ['agent-a'], [node.publicKey], [node.address], ['direct']],
      )
      assert.deepEqual(
        [got['pilot_node'], got['pilot-anything'], got['x-forwarded-for']],
        [undefined, undefined, [`fd70:696c:6f74::${node.nodeId.toString(16)}`]],
      )
    } else {
      assert.deepEqual(got['pilot-node'], way.name.startsWith('front') ? undefined : forged)
    }
    const failed = await unary(client, 'Fail', 'please', metadata)
    assert.deepEqual(
      [failed.error?.code, failed.error?.details, failed.error?.metadata.get('x-why')],
      [status.FAILED_PRECONDITION, 'as you wish: ü', ['because']],
    )
    assert.deepEqual(
      await collect(
        client,
        Array.from({ length: 500 }, (_, index) => `m${index}`),
      ),
      { text: '500 messages, last m499' },
    )
    assert.equal((await list(client, 500)).join(), Array.from({ length: 500 }, (_, index) => `item ${index}`).join())
    const texts = Array.from({ length: 100 }, (_, index) => `message ${index} ${'y'.repeat(index * 100)}`)
    assert.deepEqual(
      await chat(client, texts),
      texts.map((text) => `echo ${text}`),
    )
    client.close()
  })

  test(`gRPC deadlines and cancellation reach the server (${way.name})`, async () => {
    const client = way.client()
    const before = cancelled
    const late = await unary(client, 'Sleep', '', new Metadata(), 300)
    assert.equal(late.error?.code, status.DEADLINE_EXCEEDED)
    await eventually('the server sees the deadline as cancellation', () => cancelled === before + 1 || undefined)
    const call = client.makeServerStreamRequest(
      service['List']!.path,
      service['List']!.requestSerialize,
      service['List']!.responseDeserialize,
      { text: '100000000' },
      new Metadata(),
      { deadline: Date.now() + WAIT_MS },
    )
    const error = await within(
      'the end of a cancelled call',
      new Promise<ServiceError>((resolve) => {
        call.once('data', () => call.cancel())
        call.on('data', () => {})
        call.once('error', (reason: ServiceError) => resolve(reason))
      }),
    )
    assert.equal(error.code, status.CANCELLED)
    await eventually('the server sees that', () => cancelled === before + 2 || undefined)
    client.close()
  })
}

test('an unreachable peer or port becomes a gRPC status with the code in its text', async () => {
  const refused = await unary(clientOf(a.ready.http!, 'none.pilot.localhost'), 'Say', 'x', new Metadata())
  assert.deepEqual(
    [refused.error?.code, /CONNECTION_REFUSED/.test(refused.error?.details ?? '')],
    [status.UNAVAILABLE, true],
  )
  const unknown = await unary(clientOf(a.ready.http!, 'nobody.pilot.localhost'), 'Say', 'x', new Metadata())
  assert.deepEqual([unknown.error?.code, /NOT_FOUND/.test(unknown.error?.details ?? '')], [status.NOT_FOUND, true])
})

for (const name of ['h2', 'h2l7']) {
  test(`HTTP/2 of any content type keeps headers, trailers, 1xx and reset codes across hundreds of streams (${name})`, async () => {
    for (const to of [`http://${a.ready.http!}`, `http://${format(a.local(name))}`]) {
      const session = connect(to, { maxSessionMemory: 200 })
      stage.defer(async () => {
        session.destroy()
      })
      const ask = (path: string, body?: Uint8Array): Promise<Answer> =>
        askOver(
          session,
          {
            ':authority': `${name}.pilot.localhost`,
            ':path': path,
            ':method': body === undefined ? 'GET' : 'POST',
            'pilot-node': '666',
            'x-own': 'kept',
          },
          body,
        )
      const plainly = await ask('/a//b?c=%20')
      const seen = JSON.parse(plainly.body.toString()) as IncomingHttpHeaders
      assert.deepEqual(
        [seen[':path'], seen['x-own'], seen[':authority'], plainly.trailers['x-sum'], plainly.early],
        ['/a//b?c=%20', 'kept', `${name}.pilot.localhost`, '42', ['</style.css>']],
      )
      if (name === 'h2l7') assert.equal(seen['pilot-node'], String((await a.status()).node.nodeId))
      const big = noise(3_000_000)
      assert.equal((await ask('/digest', big)).body.toString(), summaryOf(big))
      const sizes = await Promise.all(
        Array.from({ length: 300 }, async (_, index) => (await ask(`/bytes/${index * 1_000}`)).body.length),
      )
      assert.deepEqual(
        sizes,
        Array.from({ length: 300 }, (_, index) => index * 1_000),
      )
      await assert.rejects(ask('/reset'), /NGHTTP2_ENHANCE_YOUR_CALM/)
      const upload = session.request({ ':authority': `${name}.pilot.localhost`, ':path': '/hold', ':method': 'POST' })
      upload.on('error', () => {})
      upload.write('some')
      await within(
        'its answer',
        new Promise((resolve) => {
          upload.once('response', resolve)
        }),
      )
      upload.close(constants.NGHTTP2_CANCEL)
      await eventually('the reset carries its code', () => plain.resets.includes(constants.NGHTTP2_CANCEL) || undefined)
      plain.resets.length = 0
      session.close()
    }
  })
}

test('a slow reader of one HTTP/2 stream delays only its sender', async () => {
  const session = connect(`http://${a.ready.http!}`, { maxSessionMemory: 200 })
  stage.defer(async () => {
    session.destroy()
  })
  const slow = session.request({ ':authority': 'h2l7.pilot.localhost', ':path': '/bytes/60000000' })
  slow.on('error', () => {})
  slow.pause()
  await within(
    'its head',
    new Promise((resolve) => {
      slow.once('response', resolve)
    }),
  )
  for (let round = 0; round < 5; round++)
    assert.equal(
      (await askOver(session, { ':authority': 'h2l7.pilot.localhost', ':path': '/bytes/200000', ':method': 'GET' }))
        .body.length,
      200_000,
    )
  assert.ok((await b.status()).memory.rssBytes < 400_000_000)
  slow.close()
  session.close()
})

test('curl speaks HTTP/2 with prior knowledge to the front', async (t) => {
  const curl = findProgram('curl')
  if (curl === undefined) return t.skip('not installed: curl')
  const file = stage.path('up.bin')
  const bytes = noise(2_000_000)
  await writeFile(file, bytes)
  const { port } = address(a.ready.http!)
  const run = async (...args: string[]): Promise<string> =>
    (await stage.run(curl, ['-sS', '--http2-prior-knowledge', ...args])).stdout
  assert.match(
    await run('-i', `http://h2l7.pilot.localhost:${port}/x`),
    /^HTTP\/2 103 [\s\S]*HTTP\/2 200 [\s\S]*"pilot-hostname":"agent-a"/,
  )
  assert.equal(await run('--data-binary', `@${file}`, `http://h2.pilot.localhost:${port}/digest`), summaryOf(bytes))
  assert.match(
    await run('-i', `http://nobody.pilot.localhost:${port}/`),
    /^HTTP\/2 404 [\s\S]*pilot-error: NOT_FOUND[\s\S]*404 NOT_FOUND/,
  )
  assert.match(
    await run('-i', '-H', 'Accept: application/json', `http://none.pilot.localhost:${port}/`),
    /^HTTP\/2 502 [\s\S]*"code":"CONNECTION_REFUSED"/,
  )
})

// ── The services ───────────────────────────────────────────────────────────────────────────────────────────────────

interface Text {
  readonly text: string
}

async function loadService(): Promise<ServiceDefinition> {
  const file = stage.path('all.proto')
  await writeFile(
    file,
    `syntax = "proto3"; package test; message Text { string text = 1; }
service All { rpc Say (Text) returns (Text); rpc Fail (Text) returns (Text); rpc Sleep (Text) returns (Text);
  rpc Collect (stream Text) returns (Text); rpc List (Text) returns (stream Text); rpc Chat (stream Text) returns (stream Text); }`,
  )
  return loadSync(file)['test.All'] as ServiceDefinition
}

async function grpcServer(): Promise<string> {
  const server = new Server()
  server.addService(service, {
    Say: (call: ServerUnaryCall<Text, Text>, reply: sendUnaryData<Text>) => {
      const head = new Metadata()
      head.set('x-head', 'first')
      call.sendMetadata(head)
      const trailer = new Metadata()
      trailer.set('x-trailer', 'last')
      trailer.set('x-trailer-bin', Buffer.from([0, 255, 7]))
      reply(null, { text: `you said ${call.request.text} ${JSON.stringify(call.metadata.toJSON())}` }, trailer)
    },
    Fail: (_call: ServerUnaryCall<Text, Text>, reply: sendUnaryData<Text>) => {
      const metadata = new Metadata()
      metadata.set('x-why', 'because')
      reply({ code: status.FAILED_PRECONDITION, details: 'as you wish: ü', metadata })
    },
    Sleep: (call: ServerUnaryCall<Text, Text>) => {
      call.on('cancelled', () => {
        cancelled += 1
      })
    },
    Collect: (call: ServerReadableStream<Text, Text>, reply: sendUnaryData<Text>) => {
      const texts: string[] = []
      call.on('data', ({ text }: Text) => texts.push(text))
      call.on('end', () => reply(null, { text: `${texts.length} messages, last ${texts.at(-1) ?? ''}` }))
    },
    List: (call: ServerWritableStream<Text, Text>) => {
      call.on('cancelled', () => {
        cancelled += 1
      })
      let index = 0
      const more = (): void => {
        while (index < Number(call.request.text) && !call.cancelled)
          if (!call.write({ text: `item ${index++}` })) return void call.once('drain', more)
        if (!call.cancelled) call.end()
      }
      more()
    },
    Chat: (call: ServerDuplexStream<Text, Text>) => {
      call.on('data', ({ text }: Text) => call.write({ text: `echo ${text}` }))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  stage.defer(async () => server.forceShutdown())
  return `127.0.0.1:${port}`
}

async function h2Server(): Promise<string> {
  const server = createServer({ maxSessionMemory: 200 }) // MB: it delivers whole answers at once
  server.on('stream', (stream, headers) => {
    plain.streams += 1
    stream.on('error', () => {})
    stream.on('close', () => {
      if (stream.rstCode !== 0) plain.resets.push(stream.rstCode)
    })
    serveStream(stream, headers)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

function serveStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const path = headers[':path']!
  if (path === '/reset') return void stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  if (path === '/hold') return void stream.respond({ ':status': 200 })
  if (path.startsWith('/bytes/')) {
    stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
    return void stream.end(Buffer.alloc(Number(path.slice('/bytes/'.length)), 1))
  }
  if (path === '/digest') {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      stream.respond({ ':status': 200 })
      stream.end(summaryOf(Buffer.concat(parts)))
    })
    return
  }
  stream.additionalHeaders({ ':status': 103, link: '</style.css>' })
  stream.respond({ ':status': 200, 'content-type': 'application/x-own' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }))
  stream.end(JSON.stringify(headers))
}

// ── The clients ────────────────────────────────────────────────────────────────────────────────────────────────────

/** `authority` is what the front routes by; without it, the address itself. */
function clientOf(to: string, authority?: string): Client {
  const client = new Client(to, credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    ...(authority === undefined ? {} : { 'grpc.default_authority': authority }),
  })
  stage.defer(async () => client.close())
  return client
}

interface Outcome {
  readonly reply: Text | undefined
  readonly error: ServiceError | null
  readonly head: Metadata
  readonly end: StatusObject
}

async function unary(
  client: Client,
  method: string,
  text: string,
  metadata: Metadata,
  deadlineMs = WAIT_MS,
): Promise<Outcome> {
  const { path, requestSerialize, responseDeserialize } = service[method]!
  let [head, end]: [Metadata, StatusObject | undefined] = [new Metadata(), undefined]
  const { reply, error } = await new Promise<Pick<Outcome, 'reply' | 'error'>>((resolve) => {
    const call = client.makeUnaryRequest<Text, Text>(
      path,
      requestSerialize,
      responseDeserialize,
      { text },
      metadata,
      { deadline: Date.now() + deadlineMs },
      (failure, answer) => setImmediate(() => resolve({ reply: answer, error: failure })),
    )
    call.on('metadata', (received: Metadata) => {
      head = received
    })
    call.on('status', (received: StatusObject) => {
      end = received
    })
  })
  return { reply, error, head, end: end! }
}

function collect(client: Client, texts: readonly string[]): Promise<Text> {
  const { path, requestSerialize, responseDeserialize } = service['Collect']!
  return new Promise((resolve, reject) => {
    const call = client.makeClientStreamRequest<Text, Text>(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
      { deadline: Date.now() + WAIT_MS },
      (error, reply) => (error === null ? resolve(reply!) : reject(error)),
    )
    for (const text of texts) call.write({ text })
    call.end()
  })
}

function list(client: Client, count: number): Promise<string[]> {
  const { path, requestSerialize, responseDeserialize } = service['List']!
  const call = client.makeServerStreamRequest<Text, Text>(
    path,
    requestSerialize,
    responseDeserialize,
    { text: String(count) },
    new Metadata(),
    { deadline: Date.now() + WAIT_MS },
  )
  return new Promise((resolve, reject) => {
    const texts: string[] = []
    call.on('data', ({ text }: Text) => texts.push(text))
    call.on('end', () => resolve(texts))
    call.on('error', reject)
  })
}

/** One text, then its echo, then the next: the directions really alternate. */
function chat(client: Client, texts: readonly string[]): Promise<string[]> {
  const { path, requestSerialize, responseDeserialize } = service['Chat']!
  const stream = client.makeBidiStreamRequest<Text, Text>(path, requestSerialize, responseDeserialize, new Metadata(), {
    deadline: Date.now() + WAIT_MS,
  })
  return new Promise((resolve, reject) => {
    const replies: string[] = []
    const next = (): void => {
      const text = texts[replies.length]
      if (text === undefined) stream.end()
      else stream.write({ text })
    }
    stream.on('data', ({ text }: Text) => {
      replies.push(text)
      next()
    })
    stream.on('error', reject)
    stream.on('end', () => resolve(replies))
    next()
  })
}

interface Answer {
  readonly body: Buffer
  readonly trailers: IncomingHttpHeaders
  readonly early: readonly string[]
}

function askOver(session: ClientHttp2Session, headers: Record<string, string>, body?: Uint8Array): Promise<Answer> {
  return within(
    headers[':path']!,
    new Promise((resolve, reject) => {
      const request = session.request(headers, { endStream: body === undefined })
      const parts: Buffer[] = []
      const early: string[] = []
      let trailers: IncomingHttpHeaders = {}
      request.on('headers', (received: IncomingHttpHeaders) => early.push(String(received['link'])))
      request.on('trailers', (received: IncomingHttpHeaders) => {
        trailers = received
      })
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => resolve({ body: Buffer.concat(parts), trailers, early }))
      request.on('error', reject)
      if (body !== undefined) request.end(body)
    }),
  )
}
