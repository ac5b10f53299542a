/**
 * A beacon of others, with the limits that those of today have (quirk R19): one punch request a second from an address,
 * ten in all, 4,000 relayed packets a second from a socket, and silence about the rest.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KINDS, LINUX, behind } from './simulator/nat-world.ts'
import { SimOverlay } from './simulator/overlay.ts'

test('R19: 50 peers behind NATs, all mapped at start, are reached directly within a minute', () => {
  const sim = new SimOverlay({ seed: 1, foreignBeacon: true, path: { delayMs: 20 } })
  const names = Array.from({ length: 50 }, (_, i) => `peer-${i}`)
  const peers = names.map((name, i) => behind(sim, name, i + 2, LINUX, { public: true }).node)
  for (const peer of peers) peer.listen(80)
  const { node } = behind(sim, 'ours', 1, KINDS.get('EIM/APDF'), { public: true })
  sim.until('registered', 30_000, () => node.registered && peers.every(({ registered }) => registered))
  sim.run(5_000)
  const streams = names.map((name) => node.dial(name, 80))
  const isDirect = (index: number): boolean =>
    streams[index]!.state === 'open' && node.state.peers.get(peers[index]!.nodeId)?.paths.current?.kind !== 'relay'
  sim.until('all direct', 60_000, () => names.every((_, index) => isDirect(index)))
  // Only where the requests of all compete for ten a second
  const dropped = sim.limits.punchesDropped.get('198.18.0.1') ?? 0
  assert.ok(dropped <= 10, `${dropped} of ours`)
})

test('R19: bulk through its relay stays below what it admits, and nothing is lost', () => {
  const sim = new SimOverlay({ seed: 1, foreignBeacon: true, path: { delayMs: 10 } })
  const [a, b] = sim.pair()
  sim.network.cut(a.endpoint.address, b.endpoint.address)
  let received = 0
  b.listen(80, (stream) => {
    stream.keep = false
    const count = (): void => {
      received = stream.receivedBytes
      sim.world.after(100, count)
    }
    count()
  })
  const stream = a.dial('agent-b', 80)
  sim.until('open', 10_000, () => stream.state === 'open')
  const began = sim.world.nowMs
  stream.write(new Uint8Array(30_000_000))
  sim.until('all of it', 60_000, () => received === 30_000_000)
  assert.equal(a.state.peers.get(b.nodeId)!.paths.current!.kind, 'relay')
  assert.equal(sim.limits.relayDropped, 0)
  const rate = 30_000_000 / (sim.world.nowMs - began)
  assert.ok(rate > 3_000, `${Math.round(rate)} kB/s`)
})
