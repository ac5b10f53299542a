/**
 * A network that misbehaves at random for a minute, then recovers. After that nothing may be stuck: every byte has come
 * back, or both ends know that the stream has ended; and the next dial works.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

/** One thing goes wrong, or stops going wrong. */
function mishap(sim: SimOverlay, a: SimNode, b: SimNode, restarts: boolean): void {
  const { random, network } = sim
  const node = random.chance(0.5) ? a : b
  const hosts = [a.endpoint.address, b.endpoint.address, sim.beaconEndpoint.address]
  const [x, y] = [hosts[random.below(3)]!, hosts[random.below(3)]!]
  const what = random.below(restarts ? 12 : 10)
  if (what < 3) network.cut(x, y, random.chance(0.4))
  else if (what < 6) network.heal(x, y)
  else if (what === 6) node.rebind({ address: node.endpoint.address, port: 5_000 + random.below(50_000) })
  else if (what === 7)
    network.setDefaults({
      delayMs: 1 + random.below(100),
      jitterMs: random.below(50),
      lossRate: random.chance(0.5) ? 0 : random.next() * 0.2,
      duplicateRate: 0.02,
      rateBps: 1e6 + random.next() * 50e6,
    })
  else if (what === 8)
    network.setDefaults({ delayMs: 5 + random.below(20), maxDatagram: random.chance(0.5) ? 1_472 : 1_252 })
  else if (what === 9) sim.registry.restart(false)
  else node.restart()
}

type Ways = 'all ways' | 'only the relay'

function calm(sim: SimOverlay, a: SimNode, b: SimNode, ways: Ways): void {
  const [x, y, relay] = [a.endpoint.address, b.endpoint.address, sim.beaconEndpoint.address]
  for (const host of [x, y]) sim.network.heal(host, relay)
  if (ways === 'only the relay') sim.network.cut(x, y)
  else sim.network.heal(x, y)
  sim.network.setDefaults({ delayMs: 10 })
}

function chaos(seed: number, restarts: boolean, ways: Ways): void {
  const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 5, lossRate: 0.01 } })
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  const streams: SimStream[] = []
  const written = new Map<SimStream, number>()
  for (let round = 0; round < 60; round++) {
    if (streams.length < 5 && sim.random.chance(0.2)) streams.push(a.dial('agent-b', 80))
    for (const stream of streams) {
      if (!sim.random.chance(0.5)) continue
      const bytes = sim.random.below(sim.random.chance(0.1) ? 300_000 : 5_000)
      stream.write(new Uint8Array(bytes))
      written.set(stream, (written.get(stream) ?? 0) + bytes)
    }
    if (sim.random.chance(0.25)) mishap(sim, a, b, restarts)
    sim.run(2_000 * sim.random.next())
  }
  calm(sim, a, b, ways)
  sim.run(60_000)
  const late = a.dial('agent-b', 80)
  late.write(Buffer.from('x'))
  sim.until('a new dial works', 10_000, () => late.receivedBytes === 1 || late.over)
  assert.equal(late.failure, undefined)
  for (const stream of streams.filter((one) => one.born === a.lives && !one.over && one.state === 'open')) {
    assert.equal(
      stream.receivedBytes,
      written.get(stream) ?? 0,
      `a stream is stalled: ${stream.receivedBytes} of ${written.get(stream)} bytes`,
    )
  }
  assert.equal(
    streams.filter((one) => one.born === a.lives && one.state === 'dialling').length,
    0,
    'no dial waits forever',
  )
  const [ours, theirs] = [a.peer(b)?.streams.size, b.peer(a)?.streams.size]
  assert.equal(ours, theirs, `${ours} streams here, ${theirs} there`)
}

for (const seed of [1, 2, 3, 4, 47, 52]) {
  for (const ways of ['all ways', 'only the relay'] as const) {
    test(`after a minute of faults nothing is stuck, with ${ways} (seed ${seed})`, () => chaos(seed, false, ways))
    test(`after a minute of faults and restarts nothing is stuck, with ${ways} (seed ${seed})`, () =>
      chaos(seed, true, ways))
  }
}
