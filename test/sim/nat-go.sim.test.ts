/**
 * A peer that behaves like the reference daemon, behind each kind of NAT: it punches on command, answers pings and
 * PILA, follows only a PILA that comes directly, and never leaves the relay once a frame came through it. What we send
 * must arrive intact, directly where possible, even while the path dies and our address changes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAG_ACK, FLAG_FIN, FLAG_SYN } from '../../src/wire/packet.ts'
import { KINDS, behind } from './simulator/nat-world.ts'
import { Nat } from './simulator/nat.ts'
import { SimOverlay } from './simulator/overlay.ts'
import { Puppet } from './simulator/puppet.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

interface GoWorld {
  readonly sim: SimOverlay
  readonly a: SimNode
  readonly go: Puppet
  readonly natA: Nat | undefined
  readonly received: Uint8Array[]
}

/** A daemon that keeps and acknowledges in-order data on any port. */
function goWorld(ours: string, theirs: string, seed: number): GoWorld {
  const sim = new SimOverlay({ seed, path: { delayMs: 10 } })
  const { node: a, nat: natA } = behind(sim, 'agent-a', 1, KINDS.get(ours))
  const behaviour = KINDS.get(theirs)
  const own = {
    address: behaviour === undefined || behaviour.mapping === 'none' ? '198.18.0.2' : '10.0.2.2',
    port: 4_002,
  }
  const box =
    behaviour === undefined
      ? undefined
      : {
          nat: new Nat(sim.world, sim.random, sim.network, '198.18.0.2', behaviour),
          inside: own,
          outside: '198.18.0.2',
        }
  const go = new Puppet(sim, 7, 'agent-go', box)
  const received: Uint8Array[] = []
  let next = -1
  go.onStreamPacket = (header, payload) => {
    const answer = { srcPort: header.dstPort, dstPort: header.srcPort }
    if ((header.flags & FLAG_SYN) !== 0) {
      next = (header.seq + 1) >>> 0
      return go.send({ ...answer, flags: FLAG_SYN | FLAG_ACK, seq: 0, ack: next })
    }
    if (payload.length === 0 || (header.flags & FLAG_FIN) !== 0) return
    if (header.seq === next) {
      received.push(payload)
      next = (next + payload.length) >>> 0
    }
    go.send({ ...answer, flags: FLAG_ACK, seq: 1, ack: next })
  }
  const beat = (): void => {
    go.discover()
    sim.world.after(30_000, beat)
  }
  beat()
  sim.until('registered', 10_000, () => a.registered)
  sim.run(3_000)
  return { sim, a, go, natA, received }
}

function dial({ sim, a }: GoWorld): SimStream {
  const stream = a.dial('agent-go', 1_000)
  sim.until('open', 10_000, () => stream.state === 'open')
  return stream
}

const KINDS_TRIED = ['open', 'linux', 'EIM/APDF', 'APDM/APDF']
/**
 * Direct from the first frame on: both keep their ports, or one is public. The daemon's own NAT must keep the port it
 * registered.
 */
const STRAIGHT = new Set([
  'open open',
  'open linux',
  'linux open',
  'linux linux',
  'EIM/APDF open',
  'EIM/APDF linux',
  'APDM/APDF open',
])

for (const ours of KINDS_TRIED) {
  for (const theirs of KINDS_TRIED) {
    test(`we behind ${ours}, the reference behind ${theirs}: 100 KB arrive intact, ${STRAIGHT.has(`${ours} ${theirs}`) ? 'directly' : 'somehow'} (seed 1)`, () => {
      const world = goWorld(ours, theirs, 1)
      const sent = world.sim.random.bytes(100_000)
      const stream = dial(world)
      stream.write(sent)
      world.sim.until(
        'all of it',
        30_000,
        () => world.received.reduce((sum, part) => sum + part.length, 0) === sent.length,
      )
      assert.deepEqual(Buffer.concat(world.received), Buffer.from(sent))
      if (STRAIGHT.has(`${ours} ${theirs}`))
        assert.equal(world.go.relayed, false, 'no frame of ours came through the relay')
    })
  }
}

for (const seed of [1, 2, 3]) {
  test(`the direct path to the reference dies and our address changes during a transfer: all of it arrives (seed ${seed})`, () => {
    const world = goWorld('open', 'linux', seed)
    const { sim, a } = world
    const sent = sim.random.bytes(400_000)
    const stream = dial(world)
    stream.write(sent.subarray(0, 100_000))
    sim.run(500)
    sim.network.cut('203.0.113.1', '198.18.0.2')
    stream.write(sent.subarray(100_000, 200_000))
    sim.run(6_000)
    a.roam({ address: '203.0.113.55', port: 6_000 })
    stream.write(sent.subarray(200_000))
    sim.until(
      'all of it',
      60_000,
      () => world.received.reduce((sum, part) => sum + part.length, 0) === sent.length || stream.over,
    )
    assert.equal(stream.end, undefined)
    assert.deepEqual(Buffer.concat(world.received), Buffer.from(sent))
  })
}
