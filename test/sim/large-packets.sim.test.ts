/**
 * A direct path that loses every large packet while pings pass, or every small one while segments pass and carry the
 * acknowledgements: it is abandoned for one that works, and used again once repaired.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimGoNode } from './simulator/sim-go-node.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

const A = '203.0.113.1'
const B = '203.0.113.2'
const LARGE_BYTES = 700
const SMALL_BYTES = 300
/** From the first lost small packet to the relay, ms. */
const SMALL_LEFT_WITHIN_MS = 6_000
/** From the first lost large packet to the next byte that arrives, ms. */
const LEFT_WITHIN_MS = 4_000

interface Stage {
  readonly sim: SimOverlay
  readonly a: SimNode
  readonly b: SimNode
}

function stage(seed: number, lossRate = 0): Stage {
  const sim = new SimOverlay({ seed, path: { delayMs: 10, lossRate } })
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  return { sim, a, b }
}

/** Writes continuously; the echo shows what passes. */
function trickling({ sim, a }: Stage, bytes: number): SimStream {
  const stream = a.dial('agent-b', 80)
  stream.keep = false
  sim.until('open', 10_000, () => stream.state === 'open')
  const next = (): void => {
    if (!stream.over) stream.write(new Uint8Array(bytes))
    sim.world.after(100, next)
  }
  next()
  return stream
}

/** The longest time within `ms` in which nothing arrived. */
function longestSilence(sim: SimOverlay, stream: SimStream, ms: number): number {
  let longest = 0
  let since = sim.world.nowMs
  let before = stream.receivedBytes
  for (const until = sim.world.nowMs + ms; sim.world.nowMs < until;) {
    sim.run(50)
    if (stream.receivedBytes > before) since = sim.world.nowMs
    before = stream.receivedBytes
    longest = Math.max(longest, sim.world.nowMs - since)
  }
  return longest
}

function kinds({ a, b }: Stage): (string | undefined)[] {
  return [a.peer(b)?.paths.current?.kind, b.peer(a)?.paths.current?.kind]
}

/** Counts how often a node changes its path. */
function changes(node: SimNode): number {
  let last: unknown
  let count = 0
  for (const { path } of node.eventsOf('path')) {
    if (path !== last) count += 1
    last = path
  }
  return count
}

/** The direct path is used again, and stays in use. */
function repair(world: Stage, stream: SimStream): void {
  const { sim } = world
  sim.network.heal(A, B)
  sim.until('direct again', 60_000, () => kinds(world).every((kind) => kind === 'direct'))
  assert.ok(longestSilence(sim, stream, 60_000) < 1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  assert.equal(stream.end, undefined)
}

for (const seed of [1, 2, 3])
  for (const [direction, from, to, oneWay] of [
    ['both ways', A, B, false],
    ['towards the peer', A, B, true],
    ['from the peer', B, A, true],
  ] as const) {
    test(`a direct path that loses large packets ${direction} is abandoned within 4 s, for new streams too, without flapping, and used again once repaired (seed ${seed})`, () => {
      const world = stage(seed)
      const { sim, a, b } = world
      const stream = trickling(world, 2_000)
      sim.run(5_000)
      assert.deepEqual(kinds(world), ['direct', 'direct'])
      sim.network.cut(from, to, oneWay, LARGE_BYTES)
      const silence = longestSilence(sim, stream, 15_000)
      assert.ok(silence < LEFT_WITHIN_MS, `nothing for ${silence} ms`)
      const before = [a, b].map(changes)
      const late = a.dial('agent-b', 80)
      late.write(new Uint8Array(5_000))
      sim.until('a new stream', 1_000, () => late.receivedBytes === 5_000)
      assert.ok(longestSilence(sim, stream, 60_000) < 1_000, 'it continues over the relay')
      assert.deepEqual(kinds(world), ['relay', 'relay'])
      assert.deepEqual([a, b].map(changes), before, 'no path carries data before it is proven')
      repair(world, stream)
    })
  }

for (const seed of [1, 2])
  for (const [direction, from, to, oneWay] of [
    ['both ways', A, B, false],
    ['towards the peer', A, B, true],
    ['from the peer', B, A, true],
  ] as const)
    for (const hasRequests of seed === 1 ? [true, false] : [true])
      test(`a direct path that loses small packets ${direction} is abandoned within 6 s, without flapping, and used again once repaired (seed ${seed}, ${hasRequests ? 'small messages' : 'only new streams'})`, () => {
        const world = stage(seed)
        const { sim, a, b } = world
        const stream = trickling(world, 8_000)
        const small = hasRequests ? trickling(world, 50) : undefined
        sim.run(5_000)
        assert.deepEqual(kinds(world), ['direct', 'direct'])
        sim.network.cut(from, to, oneWay, 0, SMALL_BYTES)
        const late = a.dial('agent-b', 80)
        late.write(new Uint8Array(50))
        sim.until('the relay', SMALL_LEFT_WITHIN_MS, () => kinds(world).every((kind) => kind === 'relay'))
        sim.until('a new stream', 1_000, () => late.receivedBytes === 50)
        sim.run(1_000)
        const before = [a, b].map(changes)
        assert.ok(longestSilence(sim, small ?? stream, 60_000) < 1_000, 'it continues over the relay')
        assert.deepEqual([a, b].map(changes), before, 'no path carries data before it is proven')
        repair(world, stream)
      })

test('without another path it is kept, small messages pass, and large ones resume within 6 s of the repair', () => {
  const world = stage(1)
  const { sim, a } = world
  for (const host of [A, B]) sim.network.cut(host, sim.beaconEndpoint.address)
  const stream = trickling(world, 2_000)
  sim.run(2_000)
  sim.network.cut(A, B, false, LARGE_BYTES)
  sim.run(20_000)
  const before = stream.receivedBytes
  const small = a.dial('agent-b', 80)
  small.write(new Uint8Array(50))
  sim.until('a small message', 2_000, () => small.receivedBytes === 50)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  assert.equal(stream.receivedBytes, before)
  sim.network.heal(A, B)
  sim.until('it continues', 6_000, () => stream.receivedBytes > before)
  assert.equal(stream.end, undefined)
})

for (const [lossRate, mostSeconds] of [
  [0.05, 0],
  [0.1, 0],
  [0.2, 30],
] as const)
  test(`plain loss of ${lossRate * 100} % does not abandon a path: ${mostSeconds} s of ten times five minutes at most go over the relay`, () => {
    let seconds = 0
    for (let seed = 1; seed <= 10; seed++) {
      const world = stage(seed)
      const { sim } = world
      trickling(world, 3_000)
      sim.run(2_000)
      sim.network.setPath(A, B, { delayMs: 10, lossRate })
      for (let second = 0; second < 300; second++) {
        sim.run(1_000)
        if (kinds(world).some((kind) => kind !== 'direct')) seconds += 1
      }
    }
    assert.ok(seconds <= mostSeconds, `${seconds} s`)
  })

test('large packets to a Go-shaped peer use the relay when its direct path loses them', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
  const go = new SimGoNode(sim, 1, 'go-a', true)
  const ours = sim.node('ours', { trust: ['go-a'] })
  sim.until('both registered', 10_000, () => ours.registered && go.nodeId !== 0)
  go.registration.requestHandshake(ours.nodeId)
  sim.until('trust', 90_000, () => ours.state.trust.isTrusted(go.nodeId) && go.node.trusted.has(ours.nodeId))
  const stream = ours.dial(String(go.nodeId), 7)
  sim.until('open', 40_000, () => stream.state === 'open')
  sim.run(2_000)
  assert.equal(ours.state.peers.get(go.nodeId)?.paths.current?.kind, 'direct')
  sim.network.cut(ours.endpoint.address, go.endpoint.address, false, LARGE_BYTES)
  stream.write(sim.random.bytes(20_000))
  sim.until('echo', 12_000, () => stream.receivedBytes === 20_000)
})
