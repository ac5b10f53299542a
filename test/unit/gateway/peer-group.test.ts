/** Which of several peers a connection goes to; who is left out, for how long, and that a client notices nothing of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PassThrough } from 'node:stream'
import { PilotError } from '../../../src/base/errors.ts'
import { PeerGroup } from '../../../src/gateway/peer-group.ts'
import { formatMapSpec, parseMapSpec } from '../../../src/gateway/specs.ts'
import type { OverlayStream } from '../../../src/runtime/overlay.ts'

type Behaviour = 'takes' | 'refuses' | 'silent' | 'late' | 'our limit'

class FakeStream extends PassThrough {
  readonly peer = 7
  wasReset = false
  resetAndDestroy (): this {
    this.wasReset = true
    return this.destroy()
  }
}

/** Peers that do as told; the clock stands until it is set. */
class World {
  readonly dialled: string[] = []
  readonly told: string[] = []
  readonly streams: FakeStream[] = []
  readonly does: Record<string, Behaviour> = {}
  now = 1_000
  readonly group: PeerGroup

  constructor (spec: string) {
    this.group = new PeerGroup(parseMapSpec(spec), {
      dial: (target, signal) => this.#dial(target, signal),
      connect: async () => 7,
      pathTo: () => null,
    }, { now: () => this.now, patienceMs: 30, onEjected: (peer) => this.told.push(`-${peer}`), onBack: (peer) => this.told.push(`+${peer}`) })
  }

  async dial (): Promise<string> {
    await this.group.dial(new AbortController().signal)
    return this.dialled.at(-1)!
  }

  #dial (target: string, signal: AbortSignal | undefined): Promise<OverlayStream> {
    this.dialled.push(target)
    const stream = new FakeStream()
    this.streams.push(stream)
    const behaviour = this.does[target.slice(0, 1)] ?? 'takes'
    if (behaviour === 'takes') return Promise.resolve(stream as unknown as OverlayStream)
    if (behaviour === 'refuses') return Promise.reject(new PilotError('CONNECTION_REFUSED', `${target} refuses`))
    if (behaviour === 'our limit') return Promise.reject(new PilotError('TOO_MANY', 'too many'))
    return new Promise((resolve, reject) => {
      if (behaviour === 'late') setTimeout(() => resolve(stream as unknown as OverlayStream), 60)
      else signal?.addEventListener('abort', () => reject(new PilotError('FAILED', 'given up')))
    })
  }
}

async function after (ms: number): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, ms) })
}

test('connections go round', async () => {
  const world = new World('a|b|c:80')
  for (let index = 0; index < 6; index++) await world.dial()
  assert.deepEqual(world.dialled, ['a:80', 'b:80', 'c:80', 'a:80', 'b:80', 'c:80'])
})

test('or to the peer with the fewest open ones', async () => {
  const world = new World('a|b:80,balance=least-connections')
  for (let index = 0; index < 4; index++) await world.dial()
  assert.deepEqual(world.group.records.map(({ connections }) => connections), [2, 2])
  for (const [index, target] of world.dialled.entries()) if (target === 'b:80') world.streams[index]!.destroy()
  await after(5)
  assert.deepEqual([await world.dial(), await world.dial()], ['b:80', 'b:80'])
})

test('a peer that refuses is left out: its client goes to another, and those after it do not ask it', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'refuses'
  assert.equal(await world.dial(), 'b:80')
  assert.deepEqual(world.told, ['-a'])
  for (let index = 0; index < 4; index++) await world.dial()
  assert.deepEqual(world.dialled, ['a:80', 'b:80', 'b:80', 'b:80', 'b:80', 'b:80'])
  assert.deepEqual(world.group.records.map(({ state, failures }) => [state, failures]), [['ejected', 1], ['up', 0]])
})

test('it is tried again after one second, then two, four, …, a minute at most; each time by one client only', async () => {
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

test('a peer that takes a connection again is back, and its failures are forgotten', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'refuses'
  await world.dial()
  world.does['a'] = 'takes'
  world.now += 1_000
  assert.equal(await world.dial(), 'a:80')
  assert.deepEqual(world.group.records[0], { peer: 'a', nodeId: 7, state: 'up', connections: 1, failures: 0, retryMs: null })
  assert.deepEqual(world.told, ['-a', '+a'])
})

test('a silent peer costs its client the patience, no more; what it opens too late is reset', async () => {
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

test('many clients that fail at once are one failure', async () => {
  const world = new World('a|b:80')
  world.does['a'] = 'silent'
  await Promise.all(Array.from({ length: 10 }, () => world.dial()))
  assert.equal(world.group.records[0]!.failures, 1)
  world.does['b'] = 'refuses'
  world.does['a'] = 'refuses'
  for (let index = 0; index < 5; index++) await assert.rejects(world.dial())
  assert.deepEqual(world.group.records.map(({ failures }) => failures), [1, 1], 'nor do last resorts count')
})

test('when all are left out all are asked all the same, and the last error is told', async () => {
  const world = new World('a|b:80')
  world.does['a'] = world.does['b'] = 'refuses'
  await assert.rejects(world.dial(), /refuses/)
  await assert.rejects(world.dial(), /refuses/)
  assert.equal(world.dialled.length, 4)
  world.does['b'] = 'takes'
  assert.equal(await world.dial(), 'b:80')
})

test('limits of our own, and clients that give up, say nothing about a peer', async () => {
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

test('probes find out before clients do, both ways, and leave nothing open', async () => {
  const world = new World('a|b:80,probe=5')
  world.does['a'] = 'refuses'
  await world.group.probe()
  assert.deepEqual(world.told, ['-a'])
  world.does['a'] = 'takes'
  await world.group.probe()
  assert.deepEqual(world.told, ['-a', '+a'])
  assert.ok(world.streams.filter((_, index) => world.dialled[index] === 'b:80').every(({ wasReset }) => wasReset))
  assert.deepEqual(world.group.records.map(({ connections }) => connections), [0, 0])
})

test('several peers in the notation of the command line', () => {
  for (const [text, peer, again] of [
    ['8080:a|b:80', 'a|b', '8080:a|b:80'],
    ['a|0:0000.0000.0004|7:80,balance=least-connections,probe=10', 'a|0:0000.0000.0004|7', 'a|[0:0000.0000.0004]|7:80,balance=least-connections,probe=10'],
    ['127.0.0.1:0:[0:0000.0000.0004]|b:80', '0:0000.0000.0004|b', '127.0.0.1:0:[0:0000.0000.0004]|b:80'],
  ] as const) {
    assert.equal(parseMapSpec(text).peer, peer)
    assert.equal(formatMapSpec(parseMapSpec(text)), again)
    assert.deepEqual(parseMapSpec(again), parseMapSpec(text))
  }
  for (const bad of ['a|:80', '|a:80', 'a||b:80', 'a|a:80', 'a|b', 'a|B:80', 'a|b:80,probe=0', 'a|b:80,probe=4000', 'a|b:80,balance=random', 'a|b:80,x=1']) assert.throws(() => parseMapSpec(bad), PilotError, bad)
})
