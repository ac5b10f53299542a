/** gRPC for developers: `pilot://` clients and serveGrpc, every kind of call, between two nodes in this process. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as grpc from '@grpc/grpc-js'
import { registerPilotResolver } from '../../src/api/grpc-resolver.ts'
import type { PilotResolver } from '../../src/api/grpc-resolver.ts'
import { serveGrpc } from '../../src/api/serve-grpc.ts'
import { testnet } from '../../src/api/testnet.ts'
import type { Testnet } from '../../src/api/testnet.ts'
import type { Overlay } from '../../src/runtime/overlay.ts'
import type { Listener } from '../../src/runtime/overlay.ts'
import { eventually } from './harness.ts'

const asText = (bytes: Buffer): string => String(bytes)
const bytesOf = (text: string): Buffer => Buffer.from(text)
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Test/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytesOf,
  requestDeserialize: asText,
  responseSerialize: bytesOf,
  responseDeserialize: asText,
})
const SERVICE = {
  whoAmI: method('WhoAmI', false, false),
  count: method('Count', false, true),
  join: method('Join', true, false),
  echo: method('Echo', true, true),
  hang: method('Hang', false, false),
}

let net: Testnet
let a: Overlay
let b: Overlay
let server: grpc.Server
let resolver: PilotResolver
let listener: Listener
let client: grpc.Client
let cancelled = 0

before(async () => {
  net = await testnet({ nodes: 2 })
  a = net.nodes[0]!
  b = net.nodes[1]!
  server = startedServer()
  listener = await serveGrpc(b, 50_051, server, grpc)
  resolver = registerPilotResolver(grpc, a)
  client = clientOf('pilot://agent-2:50051')
})

after(async () => {
  client.close()
  server.forceShutdown()
  resolver.close()
  await net.stop()
})

function startedServer(): grpc.Server {
  const made = new grpc.Server()
  made.addService(SERVICE, {
    whoAmI: (call: grpc.ServerUnaryCall<string, string>, reply: grpc.sendUnaryData<string>) => {
      const trailers = new grpc.Metadata()
      trailers.set('grade', 'fine')
      if (call.request === 'fail')
        reply({ code: grpc.status.FAILED_PRECONDITION, details: 'asked to fail', metadata: trailers })
      else reply(null, JSON.stringify(call.metadata.getMap()), trailers)
    },
    count: (call: grpc.ServerWritableStream<string, string>) => {
      for (let index = 0; index < Number(call.request); index++) call.write(`${index}`)
      call.end()
    },
    join: (call: grpc.ServerReadableStream<string, string>, reply: grpc.sendUnaryData<string>) => {
      const parts: string[] = []
      call.on('data', (part: string) => parts.push(part)).on('end', () => reply(null, parts.join('')))
    },
    echo: (call: grpc.ServerDuplexStream<string, string>) => {
      call.on('data', (part: string) => call.write(part)).on('end', () => call.end())
    },
    hang: (call: grpc.ServerUnaryCall<string, string>) => {
      call.on('cancelled', () => {
        cancelled += 1
      })
    },
  })
  return made
}

function clientOf(target: string): grpc.Client {
  return new grpc.Client(target, grpc.credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
  })
}

interface Unary {
  readonly reply: string | undefined
  readonly error: grpc.ServiceError | null
  readonly trailers: grpc.Metadata | undefined
}

async function unary(
  of: grpc.Client,
  { path, requestSerialize, responseDeserialize }: typeof SERVICE.whoAmI,
  request: string,
  options: grpc.CallOptions = {},
  metadata = new grpc.Metadata(),
): Promise<Unary> {
  return await new Promise((resolve) => {
    let trailers: grpc.Metadata | undefined
    let answer: Omit<Unary, 'trailers'> | undefined
    const settle = (): void => {
      if (answer !== undefined && trailers !== undefined) resolve({ ...answer, trailers })
    }
    of.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, (error, reply) => {
      answer = { error, reply }
      settle()
    }).on('status', (status) => {
      trailers = status.metadata
      settle()
    })
  })
}

test("a unary call carries metadata, trailers and the caller's identity; the client's own claims are removed", async () => {
  const metadata = new grpc.Metadata()
  for (const [key, value] of [
    ['mine', 'yes'],
    ['pilot-node', '999'],
    ['pilot-hostname', 'root'],
    ['pilot-key', 'x'],
  ] as const)
    metadata.set(key, value)
  const { error, reply, trailers } = await unary(client, SERVICE.whoAmI, '?', {}, metadata)
  assert.equal(error, null)
  const seen = JSON.parse(reply!) as Record<string, string>
  assert.deepEqual(
    [seen['mine'], seen['pilot-node'], seen['pilot-address'], seen['pilot-hostname'], seen['pilot-key']],
    ['yes', String(a.nodeId), a.address, 'agent-1', undefined],
  )
  assert.deepEqual(trailers?.get('grade'), ['fine'])
})

test("a server's status arrives with its code, text and trailers", async () => {
  const { error, trailers } = await unary(client, SERVICE.whoAmI, 'fail')
  assert.equal(error?.code, grpc.status.FAILED_PRECONDITION)
  assert.equal(error?.details, 'asked to fail')
  assert.deepEqual(trailers?.get('grade'), ['fine'])
})

test('a server stream of 2,000 messages arrives complete and in order', async () => {
  const call = client.makeServerStreamRequest(SERVICE.count.path, bytesOf, asText, '2000')
  const seen: string[] = []
  for await (const part of call) seen.push(part as string)
  assert.deepEqual(
    seen,
    Array.from({ length: 2000 }, (_, index) => String(index)),
  )
})

test('a client stream of 1 MB gets one answer', async () => {
  const part = 'x'.repeat(10_000)
  const joined = await new Promise<string>((resolve, reject) => {
    const call = client.makeClientStreamRequest(SERVICE.join.path, bytesOf, asText, (error, reply) =>
      error === null ? resolve(reply!) : reject(error),
    )
    for (let index = 0; index < 100; index++) call.write(part)
    call.end()
  })
  assert.equal(joined, part.repeat(100))
})

test('a bidirectional call alternates between the two sides', async () => {
  const call = client.makeBidiStreamRequest(SERVICE.echo.path, bytesOf, asText)
  for (let turn = 0; turn < 20; turn++) {
    call.write(`turn ${turn}`)
    assert.equal(((await once(call, 'data')) as [string])[0], `turn ${turn}`)
  }
  const ended = once(call, 'end')
  call.end()
  await ended
})

test('a deadline and a cancellation reach the server, and a hundred calls share one connection', async () => {
  const before = cancelled
  assert.equal(
    (await unary(client, SERVICE.hang, '?', { deadline: Date.now() + 200 })).error?.code,
    grpc.status.DEADLINE_EXCEEDED,
  )
  const gone = new Promise<grpc.ServiceError | null>((resolve) => {
    const call = client.makeUnaryRequest(SERVICE.hang.path, bytesOf, asText, '?', (error) => resolve(error))
    setTimeout(() => call.cancel(), 100)
  })
  assert.equal((await gone)?.code, grpc.status.CANCELLED)
  await eventually('the server saw both', () => cancelled === before + 2 || undefined)
  const many = await Promise.all(Array.from({ length: 100 }, async () => await unary(client, SERVICE.whoAmI, '?')))
  assert.ok(many.every(({ error }) => error === null))
  assert.equal(b.peers.find(({ nodeId }) => nodeId === a.nodeId)!.streams, 1)
})

test('a target that is malformed or cannot be dialled is UNAVAILABLE, with the reason', async () => {
  const reasons: Readonly<Record<string, RegExp>> = {
    'pilot://agent-2:50052': /CONNECTION_REFUSED/,
    'pilot:nobody:50051': /NOT_FOUND|NOT_TRUSTED/,
    'pilot://example.com:50051': /USAGE/,
  }
  for (const [target, reason] of Object.entries(reasons)) {
    const wrong = clientOf(target)
    const { error } = await unary(wrong, SERVICE.whoAmI, '?', { deadline: Date.now() + 5_000 })
    wrong.close()
    assert.equal(error?.code, grpc.status.UNAVAILABLE, target)
    assert.match(error.details, reason, target)
  }
})

test('a client reconnects to a server that stopped and came back', async () => {
  listener.close()
  server.forceShutdown()
  assert.equal((await unary(client, SERVICE.whoAmI, '?')).error?.code, grpc.status.UNAVAILABLE)
  server = startedServer()
  listener = await serveGrpc(b, 50_051, server, grpc)
  const metadata = new grpc.Metadata({ waitForReady: true })
  assert.equal((await unary(client, SERVICE.whoAmI, '?', { deadline: Date.now() + 10_000 }, metadata)).error, null)
})

test('closing a resolver ends its connections, tells clients why and leaves no folder behind', async () => {
  const folders = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('pilot-grpc-'))
  const before = folders().length
  const own = registerPilotResolver(grpc, a, { scheme: 'other' })
  const [one, two] = [clientOf('other://agent-2:50051'), clientOf('other:agent-2.pilot:50051')]
  const replies = await Promise.all([unary(one, SERVICE.whoAmI, '?'), unary(two, SERVICE.whoAmI, '?')])
  assert.deepEqual(
    replies.map(({ error }) => error),
    [null, null],
  )
  assert.equal(folders().length, before + 1)
  const hanging = unary(one, SERVICE.hang, '?')
  own.close()
  assert.equal((await hanging).error?.code, grpc.status.UNAVAILABLE)
  assert.equal(folders().length, before)
  const late = clientOf('other://agent-2:50051')
  assert.match((await unary(late, SERVICE.whoAmI, '?')).error?.details ?? '', /SHUTTING_DOWN/)
  for (const each of [one, two, late]) each.close()
})
