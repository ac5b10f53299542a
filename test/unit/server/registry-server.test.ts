/** The registry behind a real socket on loopback: order, limits of size and time, and how a client's end is handled. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { RegistryServerOptions } from '../../../src/server/registry-server.ts'
import type { RegistryStore } from '../../../src/server/store/store.ts'
import { parseEndpoint } from '../../../src/base/types.ts'
import { RegistryServer } from '../../../src/server/registry-server.ts'
import { Registry } from '../../../src/server/registry/registry.ts'
import { MemoryStore } from '../../../src/server/store/memory-store.ts'
import { challenges, encodeRegistryFrame, RegistryFrameReader } from '../../../src/wire/registry-messages.ts'
import { newIdentity, sign } from './registry/setting.ts'

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const REGISTER = { type: 'register', public_key: newIdentity(1).publicKeyBase64 }

test('pipelined requests are answered in order, even when an early one waits for the disk', async (context) => {
  const store = new SlowStore()
  const client = await connected(context, { store })
  client.write(REGISTER, { type: 'lookup', node_id: 9 }, { type: 'beacon_list' }, REGISTER, { type: 'nonsense' })
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(client.received.length, 0, 'nothing overtakes the registration that is not on disk')
  store.release()
  const types = await client.replies(5)
  assert.deepEqual(
    types.map((reply) => reply['type']),
    ['register_ok', 'error', 'beacon_list_ok', 'register_ok', 'error'],
  )
})

test('five thousand requests at once from one client are all answered, in order', async (context) => {
  const client = await connected(context)
  const requests = Array.from({ length: 5_000 }, (_, i) => ({ type: 'lookup', node_id: i + 10 }))
  client.write(...requests)
  const replies = await client.replies(5_000)
  assert.deepEqual(
    replies.map((reply) => reply['error']),
    requests.map(({ node_id: id }) => `node ${id}: node not found`),
  )
})

test('a frame that announces too much, or is not an object, closes the connection silently', async (context) => {
  for (const bytes of [
    '00010001',
    'ffffffff',
    '474554202f20485454502f312e310d0a',
    '00000000',
    '000000046e756c6c',
    '000000037b7d78',
  ]) {
    const client = await connected(context)
    client.write({ type: 'beacon_list' })
    client.socket.write(Buffer.from(bytes, 'hex'))
    await client.closed
    assert.deepEqual(
      client.received.map((reply) => reply['type']),
      ['beacon_list_ok'],
      `requests before ${bytes} are answered`,
    )
  }
})

test('half a frame and then the end closes the connection; a whole one is answered first', async (context) => {
  const half = await connected(context)
  half.socket.end(encodeRegistryFrame({ type: 'beacon_list' }).subarray(0, 10))
  await half.closed
  assert.equal(half.received.length, 0)
  const whole = await connected(context)
  whole.socket.end(encodeRegistryFrame(REGISTER))
  await whole.closed
  assert.equal(whole.received[0]?.['type'], 'register_ok')
})

test('a client that only trickles bytes is closed if no request is complete in time', async (context) => {
  const client = await connected(context, { idleMs: 80 })
  const trickle = setInterval(() => client.socket.write(Buffer.from([0])), 20)
  context.after(() => clearInterval(trickle)) // even when the test fails: a live timer would keep the process from ending
  await client.closed
})

test('connections above the cap are closed, and there is room again once one ends', async (context) => {
  const server = await started(context, { maxConnections: 1 })
  const first = await connectedTo(context, server.bound)
  const second = await connectedTo(context, server.bound)
  await second.closed
  first.socket.destroy()
  await first.closed
  while (server.connectionCount > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const third = await connectedTo(context, server.bound)
  third.write({ type: 'beacon_list' })
  assert.equal((await third.replies(1))[0]?.['type'], 'beacon_list_ok')
  assert.equal(server.droppedConnections, 1)
})

test('a look-up overtakes the signature checks of other clients, whose own requests stay in order', async (context) => {
  const registry = new Registry(new MemoryStore(), Date.now())
  const server = await started(context, { registry })
  const flooders = await Promise.all(Array.from({ length: 40 }, () => connectedTo(context, server.bound)))
  const other = await connectedTo(context, server.bound)
  flooders[0]!.write(REGISTER)
  await flooders[0]!.replies(1)
  while (server.connectionCount < 41) await new Promise((resolve) => setImmediate(resolve)) // Node accepts one in a turn
  const forged = { type: 'heartbeat', node_id: 1, signature: Buffer.alloc(64, 1).toString('base64') }
  const flood = Array.from({ length: 60 }, (_, i) => (i % 10 === 9 ? { type: 'lookup', node_id: 1 } : forged))
  for (const flooder of flooders) flooder.write(...flood)
  let most = 0 // signature checks between a look-up and its answer
  for (let lookups = 0; registry.counters.refusals < 40 * 54;) {
    const before = registry.counters.refusals
    other.write({ type: 'lookup', node_id: 1 })
    await other.replies(++lookups)
    most = Math.max(most, registry.counters.refusals - before)
  }
  assert.ok(most < 1_000, `a look-up waited for ${most} of 2,160 signature checks`)
  for (const flooder of flooders) {
    const replies = await flooder.replies(flooder === flooders[0] ? 61 : 60)
    assert.deepEqual(
      replies.slice(-60).map(({ type }) => type),
      flood.map((request) => (request === forged ? 'error' : 'lookup_ok')),
    )
  }
})

test('a node that polls with `notify` is notified once of new mail, behind its replies; others are not', async (context) => {
  const server = await started(context)
  const [alice, bob] = [await connectedTo(context, server.bound), await connectedTo(context, server.bound)]
  const ids = [newIdentity(1), newIdentity(2)]
  const [a, b] = [ids[0]!, ids[1]!]
  for (const [client, identity] of [
    [alice, a],
    [bob, b],
  ] as const)
    client.write({ type: 'register', public_key: identity.publicKeyBase64 })
  await Promise.all([alice.replies(1), bob.replies(1)])
  const poll = { type: 'poll_handshakes', node_id: 1, notify: true, signature: sign(a, challenges.pollHandshakes(1)) }
  const ask = {
    type: 'request_handshake',
    from_node_id: 2,
    to_node_id: 1,
    refresh: true,
    justification: 'hello',
    signature: sign(b, challenges.requestHandshake(2, 1)),
  }
  alice.write(poll)
  assert.equal((await alice.replies(2))[1]!['notify'], true)
  bob.write(ask, ask)
  assert.deepEqual((await alice.replies(3))[2], { type: 'notify' })
  await bob.replies(3)
  alice.write({ type: 'lookup', node_id: 1 }, poll)
  const [lookup, mail] = (await alice.replies(5)).slice(3)
  assert.equal(lookup!['type'], 'lookup_ok', 'one notice for both requests')
  assert.equal((mail!['requests'] as unknown[]).length, 1)
  bob.write(ask)
  assert.deepEqual((await alice.replies(6))[5], { type: 'notify' }, 'and one again after the poll')
  assert.ok(bob.received.every(({ type }) => type !== 'notify'))
})

test('when the disk fails, the client is disconnected rather than misled', async (context) => {
  const store = new SlowStore()
  const client = await connected(context, { store })
  client.write(REGISTER)
  await new Promise((resolve) => setTimeout(resolve, 30))
  store.fail()
  await client.closed
  assert.equal(client.received.length, 0)
})

test('a client that reads no replies is no longer read from, and does not delay stop', async (context) => {
  const server = await started(context)
  const client = await connectedTo(context, server.bound)
  client.socket.pause()
  const frame = Buffer.concat(
    Array.from({ length: 1_000 }, () => encodeRegistryFrame({ type: 'resolve_hostname', hostname: 'x'.repeat(60) })),
  )
  for (let i = 0; i < 400 && client.socket.write(frame); i++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(client.socket.writableLength > 0, 'the server stopped reading')
  await server.stop()
  await server.stop()
})

class SlowStore implements RegistryStore {
  readonly #memory = new MemoryStore()
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  #flush: Promise<void> | undefined

  load(kind: string): ReturnType<RegistryStore['load']> {
    return this.#memory.load(kind)
  }
  put(key: string, value: object): void {
    this.#memory.put(key, value)
  }
  delete(key: string): void {
    this.#memory.delete(key)
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
  release(): void {
    this.#settle?.resolve()
  }
  fail(): void {
    this.#settle?.reject(new Error('disk full'))
  }

  flushed(): Promise<void> {
    this.#flush ??= new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    return this.#flush
  }
}

interface Context {
  after(act: () => void | Promise<void>): void
}
type Reply = Readonly<Record<string, unknown>>

interface Client {
  readonly socket: Socket
  readonly received: Reply[]
  readonly closed: Promise<unknown>
  write(...requests: readonly object[]): void
  replies(count: number): Promise<Reply[]>
}

async function started(
  context: Context,
  options: Partial<RegistryServerOptions> = {},
): Promise<RegistryServer & { bound: string }> {
  const store = options.store ?? new MemoryStore()
  const server = new RegistryServer({
    listen: { address: '127.0.0.1', port: 0 },
    registry: new Registry(store, Date.now()),
    store,
    log: SILENT,
    maxConnections: 1_000,
    ...options,
  })
  context.after(() => {
    if (store instanceof SlowStore) store.release()
    return server.stop()
  })
  return Object.assign(server, { bound: await server.start() })
}

async function connected(context: Context, options: Partial<RegistryServerOptions> = {}): Promise<Client> {
  return await connectedTo(context, (await started(context, options)).bound)
}

async function connectedTo(context: Context, bound: string): Promise<Client> {
  const endpoint = parseEndpoint(bound)
  assert.ok(endpoint !== undefined && endpoint.port > 0)
  const socket = connect(endpoint.port, endpoint.address)
  context.after(() => {
    socket.destroy()
  })
  socket.on('error', () => undefined)
  const reader = new RegistryFrameReader()
  const received: Reply[] = []
  socket.on('data', (chunk) => {
    reader.push(chunk)
    for (let next = reader.next(); typeof next === 'object'; next = reader.next()) received.push({ ...next })
    socket.emit('replies')
  })
  // Not once(): it rejects on the reset that a byte on its way causes when the server closes.
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'connect')
  return {
    socket,
    received,
    closed,
    write: (...requests) => {
      socket.write(Buffer.concat(requests.map(encodeRegistryFrame)))
    },
    replies: async (count) => {
      while (received.length < count) await once(socket, 'replies')
      return received
    },
  }
}
