/**
 * Which of several peers a connection goes to; which ones are skipped, for how long, and that clients do not notice.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createServer } from 'node:http'
import { duplexPair, PassThrough } from 'node:stream'
import { PilotError } from '../../../../../src/base/errors.ts'
import { PeerGroup } from '../../../../../src/gateway/map/group/group.ts'
import { formatMapSpec, parseMapSpec } from '../../../../../src/gateway/model/map-spec.ts'
import type { GivingUp } from '../../../../../src/runtime/giving-up.ts'
import type { OverlayStream } from '../../../../../src/runtime/overlay.ts'

type Behaviour = 'takes' | 'refuses' | 'silent' | 'late' | 'our limit'

class FakeStream extends PassThrough {
  readonly peer: number
  constructor(peer = 7) {
    super()
    this.peer = peer
  }

  wasReset = false
  resetAndDestroy(): this {
    this.wasReset = true
    return this.destroy()
  }
}

/** Scripted peers; the clock moves only when set. */
class World {
  readonly dialled: string[] = []
  readonly told: string[] = []
  readonly streams: FakeStream[] = []
  readonly does: Record<string, Behaviour> = {}
  /** Trusted nodes by id, and their tags; 'away': the registry does not answer. */
  readonly tags: Record<number, readonly string[] | 'away'> = {}
  asked = 0
  now = 1_000
  readonly group: PeerGroup

  /** The status that services behind peers answer to a GET; 0: none. */
  readonly health: Record<string, number> = {}
  readonly asks: string[] = []
  readonly #spec: string

  constructor(spec: string) {
    this.#spec = spec
    this.group = new PeerGroup(
      parseMapSpec(spec),
      {
        dial: (target, signal) => this.#dial(target, signal),
        connect: async () => 7,
        pathTo: () => null,
        trusted: async () =>
          Object.keys(this.tags).map((node) => ({
            nodeId: Number(node),
            publicKey: '',
            approvedAt: '',
            mutual: true,
            network: 0,
          })),
        hostnameOf: (node) => (node === 9 ? undefined : `node-${node}`),
        about: async (node) => {
          this.asked += 1
          const tags = this.tags[node]
          if (tags === undefined || tags === 'away') throw new PilotError('REGISTRY_UNREACHABLE', 'away')
          return { publicKey: '', networks: [0], tags }
        },
      },
      {
        now: () => this.now,
        patienceMs: 30,
        onEjected: (peer) => this.told.push(`-${peer}`),
        onBack: (peer) => this.told.push(`+${peer}`),
      },
    )
  }

  async dial(): Promise<string> {
    await this.group.dial(new AbortController().signal)
    return this.dialled.at(-1)!
  }

  /** A stream with an HTTP server at its other end. */
  #served(target: string): OverlayStream {
    const [stream, far] = duplexPair()
    const server = createServer((request, response) => {
      this.asks.push(`${request.method} ${request.url} ${request.headers.host}`)
      const status = this.health[target.slice(0, 1)] ?? 200
      if (status !== 0) response.writeHead(status).end()
    })
    server.emit('connection', far)
    return Object.assign(stream, { peer: 7, resetAndDestroy: () => stream.destroy() }) as unknown as OverlayStream
  }

  #dial(target: string, signal: GivingUp | undefined): Promise<OverlayStream> {
    this.dialled.push(target)
    const stream = new FakeStream(target.startsWith('0:') ? Number.parseInt(target.slice(-7, -3), 16) : 7)
    this.streams.push(stream)
    const behaviour = this.does[target.slice(0, 1)] ?? 'takes'
    if (this.#spec.includes('probe-http')) return Promise.resolve(this.#served(target))
    if (behaviour === 'takes') return Promise.resolve(stream as unknown as OverlayStream)
    if (behaviour === 'refuses') return Promise.reject(new PilotError('CONNECTION_REFUSED', `${target} refuses`))
    if (behaviour === 'our limit') return Promise.reject(new PilotError('TOO_MANY', 'too many'))
    return new Promise((resolve, reject) => {
      if (behaviour === 'late') setTimeout(() => resolve(stream as unknown as OverlayStream), 60)
      else signal?.addEventListener('abort', () => reject(new PilotError('FAILED', 'given up')))
    })
  }
}

async function after(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

test('connections go round', async () => {
  const world = new World('a|b|c:80')
  for (let index = 0; index < 6; index++) await world.dial()
  assert.deepEqual(world.dialled, ['a:80', 'b:80', 'c:80', 'a:80', 'b:80', 'c:80'])
})

test('or go to the peer with the fewest open ones', async () => {
  const world = new World('a|b:80,balance=least-connections')
  for (let index = 0; index < 4; index++) await world.dial()
  assert.deepEqual(
    world.group.records.map(({ connections }) => connections),
    [2, 2],
  )
  for (const [index, target] of world.dialled.entries()) if (target === 'b:80') world.streams[index]!.destroy()
  await after(5)
  assert.deepEqual([await world.dial(), await world.dial()], ['b:80', 'b:80'])
})

test('a peer that refuses is ejected: its client goes to another, and later ones skip it', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'refuses'
  assert.equal(await world.dial(), 'b:80')
  assert.deepEqual(world.told, ['-a'])
  for (let index = 0; index < 4; index++) await world.dial()
  assert.deepEqual(world.dialled, ['a:80', 'b:80', 'b:80', 'b:80', 'b:80', 'b:80'])
  assert.deepEqual(
    world.group.records.map(({ state, failures }) => [state, failures]),
    [
      ['ejected', 1],
      ['up', 0],
    ],
  )
})

test('it is retried after one second, then two, four, …, at most a minute, each time by only one client', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'refuses'
  await world.dial()
  for (const pause of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const { retryMs } = world.group.records[0]!
    assert.equal(retryMs, pause * 1_000)
    world.now += retryMs! - 1
    assert.equal(await world.dial(), 'b:80')
    const before = world.dialled.length
    world.now += 1
    await Promise.all([world.dial(), world.dial(), world.dial()])
    assert.equal(world.dialled.slice(before).filter((target) => target === 'a:80').length, 1)
  }
  assert.deepEqual(world.told, ['-a'], 'said once')
})

test('a peer that accepts a connection again is back, and its failures are forgotten', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'refuses'
  await world.dial()
  world.does['a'] = 'takes'
  world.now += 1_000
  assert.equal(await world.dial(), 'a:80')
  assert.deepEqual(world.group.records[0], {
    peer: 'a',
    nodeId: 7,
    state: 'up',
    connections: 1,
    failures: 0,
    retryMs: null,
  })
  assert.deepEqual(world.told, ['-a', '+a'])
})

test('a silent peer costs its client only the patience; a stream it opens too late is reset', async () => {
  for (const behaviour of ['silent', 'late'] as const) {
    const world = new World('a|b:80')
    world.does['a'] = behaviour
    const startedAt = performance.now()
    assert.equal(await world.dial(), 'b:80')
    assert.ok(performance.now() - startedAt < 1_000)
    assert.deepEqual(world.told, ['-a'])
    if (behaviour === 'silent') continue
    await after(100)
    assert.ok(world.streams[0]!.wasReset)
  }
})

test('many clients failing at once count as one failure', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'silent'
  await Promise.all(Array.from({ length: 10 }, () => world.dial()))
  assert.equal(world.group.records[0]!.failures, 1)
  world.does['b'] = 'refuses'
  world.does['a'] = 'refuses'
  for (let index = 0; index < 5; index++) await assert.rejects(world.dial())
  assert.deepEqual(
    world.group.records.map(({ failures }) => failures),
    [1, 1],
    'nor do last resorts count',
  )
})

test('if all are ejected, all are tried anyway, and the last error is reported', async () => {
  const world = new World('a|b:80')
  world.does['a'] = world.does['b'] = 'refuses'
  await assert.rejects(world.dial(), /refuses/)
  await assert.rejects(world.dial(), /refuses/)
  assert.equal(world.dialled.length, 4)
  world.does['b'] = 'takes'
  assert.equal(await world.dial(), 'b:80')
})

test('our own limits and clients that give up do not count against a peer', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'our limit'
  assert.equal(await world.dial(), 'b:80')
  world.does['a'] = world.does['b'] = 'silent'
  const client = new AbortController()
  const dialling = world.group.dial(client.signal)
  client.abort()
  await assert.rejects(dialling)
  assert.deepEqual(world.told, [])
})

test('probes detect failure and recovery before clients do, and leave nothing open', async () => {
  const world = new World('a|b:80,probe=5')
  world.does['a'] = 'refuses'
  await world.group.probe()
  assert.deepEqual(world.told, ['-a'])
  world.does['a'] = 'takes'
  await world.group.probe()
  assert.deepEqual(world.told, ['-a', '+a'])
  assert.ok(world.streams.filter((_, index) => world.dialled[index] === 'b:80').every(({ wasReset }) => wasReset))
  assert.deepEqual(
    world.group.records.map(({ connections }) => connections),
    [0, 0],
  )
})

test('several peers in the notation of the command line', () => {
  for (const [text, peer, again] of [
    ['8080:a|b:80', 'a|b', '8080:a|b:80'],
    [
      'a|0:0000.0000.0004|7:80,balance=least-connections,probe=10',
      'a|0:0000.0000.0004|7',
      'a|[0:0000.0000.0004]|7:80,balance=least-connections,probe=10',
    ],
    ['127.0.0.1:0:[0:0000.0000.0004]|b:80', '0:0000.0000.0004|b', '0:[0:0000.0000.0004]|b:80'],
    ['8080:tag:ci:80', 'tag:ci', '8080:[tag:ci]:80'],
    ['127.0.0.1:8080:tag:ci|b|tag:web-2:80', 'tag:ci|b|tag:web-2', '8080:[tag:ci]|b|[tag:web-2]:80'],
    ['[tag:ci]:80,probe=5,probe-grpc=demo.Greeter', 'tag:ci', '[tag:ci]:80,probe=5,probe-grpc=demo.Greeter'],
    ['a:80,probe=5,probe-http=/ok?x=1', 'a', 'a:80,probe=5,probe-http=/ok?x=1'],
  ] as const) {
    assert.equal(parseMapSpec(text).peer, peer)
    assert.equal(formatMapSpec(parseMapSpec(text)), again)
    assert.deepEqual(parseMapSpec(again), parseMapSpec(text))
  }
  for (const bad of [
    'a|:80',
    '|a:80',
    'a||b:80',
    'a|a:80',
    'a|b',
    'a|B:80',
    'a|b:80,probe=0',
    'a|b:80,probe=4000',
    'a|b:80,balance=random',
    'a|b:80,x=1',
    'tag:CI:80',
    'tag::80',
    'tag:ci|tag:ci:80',
    'a:80,probe-http=/',
    'a:80,probe=5,probe-http=x',
    'a:80,probe=5,probe-grpc=a b',
  ])
    assert.throws(() => parseMapSpec(bad), PilotError, bad)
})

test('a tag means every trusted node that has it according to the registry, and members follow changes', async () => {
  const world = new World('tag:ci|b:80')
  Object.assign(world.tags, { 8: ['ci', 'web'], 9: ['ci'], 10: ['web'] })
  world.group.start()
  await after(5)
  for (let index = 0; index < 3; index++) await world.dial()
  assert.deepEqual(world.dialled, ['b:80', '0:0000.0000.0008:80', '0:0000.0000.0009:80'])
  assert.deepEqual(
    world.group.records.map(({ peer, nodeId, connections }) => [peer, nodeId, connections]),
    [
      ['b', 7, 1],
      ['node-8', 8, 1],
      ['0:0000.0000.0009', 9, 1],
    ],
  )
  Object.assign(world.tags, { 8: ['web'], 9: 'away', 10: ['ci'] })
  world.group.stop()
  world.group.start()
  await after(5)
  assert.deepEqual(
    world.group.records.map(({ peer, connections }) => [peer, connections]),
    [
      ['b', 1],
      ['0:0000.0000.0009', 1],
      ['node-10', 0],
    ],
    'unreported members stay as they were',
  )
  delete world.tags[9]
  world.group.stop()
  world.group.start()
  await after(5)
  assert.deepEqual(
    world.group.records.map(({ peer }) => peer),
    ['b', 'node-10'],
    'trust is gone',
  )
  world.group.stop()
})

test('a node that is listed both by tag and by name counts once', async () => {
  for (const named of ['node-8', '8', '0:0000.0000.0008']) {
    const world = new World(`${named}|tag:ci:80`)
    world.tags[8] = ['ci']
    world.group.start()
    await after(5)
    assert.deepEqual(
      world.group.records.map(({ peer }) => peer),
      [named],
    )
    world.group.stop()
  }
})

test('without a peer with the tag clients get that error, and the registry is asked at most once a second', async () => {
  const world = new World('tag:ci:80')
  world.tags[8] = []
  await assert.rejects(world.dial(), { code: 'PEER_UNREACHABLE', message: 'tag:ci: no trusted peer has this tag' })
  for (let index = 0; index < 5; index++) await assert.rejects(world.dial())
  assert.equal(world.asked, 1)
  world.tags[8] = ['ci']
  world.now += 1_000
  assert.equal(await world.dial(), '0:0000.0000.0008:80')
})

test('probes of the service itself decide alone: a peer that accepts connections but is unhealthy stays out', async () => {
  const world = new World('a|b:80,probe=5,probe-http=/healthz')
  world.health['a'] = 503
  await world.group.probe()
  assert.deepEqual(world.told, ['-a'])
  world.now += 60_000
  for (let index = 0; index < 4; index++) assert.equal(await world.dial(), 'b:80')
  await world.group.probe()
  assert.deepEqual(world.told, ['-a'])
  world.health['a'] = 204
  await world.group.probe()
  assert.deepEqual(world.told, ['-a', '+a'])
  assert.deepEqual(world.asks.slice(0, 2).sort(), ['GET /healthz a:80', 'GET /healthz b:80'])
})

test('a service that accepts the probe and stays silent is unhealthy too', async () => {
  const world = new World('a|b:80,probe=5,probe-http=/')
  world.health['a'] = 0
  await world.group.probe()
  assert.deepEqual(world.told, ['-a'])
})
