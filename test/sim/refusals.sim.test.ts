/** A trusted peer that may not use a port learns nothing about it, however many connections it tries. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REFUSAL_MS } from '../../src/proto/node/constants.ts'
import { FLAG_RST, FLAG_SYN } from '../../src/wire/packet.ts'
import { SimOverlay } from './simulator/overlay.ts'
import { Puppet } from './simulator/puppet.ts'
import type { SimNode } from './simulator/sim-node.ts'

const CLOSED = 81
const DENIED = 80
const DOWN = 82
/** Source ports of the measured SYNs; those of the flood are lower. */
const FIRST_PROBE = 60_000

/** A node that exposes DENIED to others, and a peer that may send anything. */
function setting(): { sim: SimOverlay; b: SimNode; eve: Puppet } {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 5, jitterMs: 0 } })
  const b = sim.node('agent-b', { public: true })
  const eve = new Puppet(sim, 66, 'eve')
  sim.until('registered', 5_000, () => b.registered)
  b.listenAndRefuse(DENIED)
  eve.knock(b)
  sim.run(1_000)
  return { sim, b, eve }
}

/**
 * SYNs to a port where nothing listens, some each millisecond, enough to keep any rate limit busy; then some to the
 * port in question.
 * @returns how many of these were refused, and when the first was.
 */
function probe(port: number, eachMs: number): { readonly refused: number; readonly afterMs: number | undefined } {
  const { sim, b, eve } = setting()
  let [refused, first] = [0, undefined as number | undefined]
  eve.onStreamPacket = ({ flags, srcPort, dstPort }) => {
    if ((flags & FLAG_RST) === 0 || srcPort !== port || dstPort < FIRST_PROBE) return
    refused += 1
    first ??= b.nowMs
  }
  let source = 1
  for (let ms = 0; ms < 1_000; ms++) {
    for (let i = 0; i < eachMs; i++) eve.send({ flags: FLAG_SYN, srcPort: source++, dstPort: CLOSED, seq: 1 })
    sim.run(1)
  }
  const sentAt = b.nowMs
  for (let i = 0; i < 20; i++) eve.send({ flags: FLAG_SYN, srcPort: FIRST_PROBE + i, dstPort: port, seq: 1 })
  sim.run(200)
  return { refused, afterMs: first === undefined ? undefined : first - sentAt }
}

for (const eachMs of [0, 1, 3, 40])
  test(`among ${eachMs * 1_000} SYNs per second, a denied port is refused exactly like a closed one`, () => {
    const closed = probe(CLOSED, eachMs)
    assert.deepEqual(probe(DENIED, eachMs), closed)
    if (eachMs === 0) assert.equal(closed.refused, 20)
    if (eachMs === 0) assert.ok(closed.afterMs! >= REFUSAL_MS + 10, `${closed.afterMs} ms`)
  })

test('a pilotgate that has access learns that the service is down, after the same time; a plain peer does not', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 5, jitterMs: 0 } })
  const [a, b] = sim.pair()
  b.listenAndRefuse(DENIED)
  b.listenAndRefuse(DOWN, 'target_unreachable')
  a.dial('agent-b', CLOSED)
  sim.run(5_000) // the tunnel is up
  const ends = [CLOSED, DENIED, DOWN].map((port) => {
    const [stream, startedAt] = [a.dial('agent-b', port), a.nowMs]
    sim.until('over', 1_000, () => stream.over)
    return { end: stream.failure, afterMs: Math.round(a.nowMs - startedAt) }
  })
  assert.deepEqual(
    ends.map(({ end }) => end),
    ['refused', 'refused', 'target_unreachable'],
  )
  assert.equal(new Set(ends.map(({ afterMs }) => afterMs)).size, 1, JSON.stringify(ends))
})

test('the reason is not sent to a peer without options, so it can be read as no other refusal', () => {
  const { sim, b, eve } = setting()
  b.listenAndRefuse(DOWN, 'target_unreachable')
  const payloads: number[] = []
  eve.onStreamPacket = ({ flags, srcPort }, payload) => {
    if ((flags & FLAG_RST) !== 0 && [DOWN, DENIED, CLOSED].includes(srcPort)) payloads.push(payload.length)
  }
  for (const port of [DOWN, DENIED, CLOSED]) eve.send({ flags: FLAG_SYN, srcPort: FIRST_PROBE, dstPort: port, seq: 1 })
  sim.run(200)
  assert.deepEqual(payloads, [0, 0, 0])
})
