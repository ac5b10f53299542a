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
