/**
 * Ten thousand short transfers while paths open, close, lose, move and forget, between nodes in the open and behind
 * NATs. After each the network is repaired, and every byte must have come back unchanged. A world is used for many
 * runs, so each one starts with the leftovers of the last, as in real life. A failing seed replays its world up to the
 * run that failed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KINDS, behind } from './simulator/nat-world.ts'
import type { Nat } from './simulator/nat.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

const WORLDS = 50
const RUNS = 200
/** How many may fail; only where the relay is the only path and the beacon must first believe a new address. */
const MOST_REDIALS = 4

/** Which NATs the worlds have, in turn. */
const PAIRS: ReadonlyArray<readonly [string, string]> = [
  ['open', 'open'],
  ['linux', 'open'],
  ['linux', 'linux'],
  ['EIM/APDF', 'EIM/ADF'],
  ['firewall', 'linux'],
  ['APDM/APDF', 'open'],
  ['APDM/APDF', 'APDM/APDF'],
  ['EIM/EIF', 'APDM/ADF'],
]

interface Side {
  readonly node: SimNode
  readonly nat: Nat | undefined
  readonly outside: string
}

interface Stage {
  readonly sim: SimOverlay
  readonly a: Side
  readonly b: Side
}

for (let seed = 1; seed <= WORLDS; seed++) {
  const [left, right] = PAIRS[seed % PAIRS.length]!
  test(`${RUNS} transfers between ${left} and ${right} while paths change: no byte is lost or changed (seed ${seed})`, () => {
    const stage = begin(seed, left, right)
    let redials = 0
    for (let run = 1; run <= RUNS; run++) redials += transfer(stage, run)
    assert.ok(redials <= MOST_REDIALS, `${redials} dials of ${RUNS} failed`)
  })
}

function begin(seed: number, left: string, right: string): Stage {
  const sim = new SimOverlay({ seed, path: { delayMs: 5, jitterMs: 1 } })
  const side = (name: string, other: string, index: number, kind: string): Side => {
    const { node, nat } = behind(sim, name, index, KINDS.get(kind), { trust: [other] })
    return { node, nat, outside: nat?.address ?? node.endpoint.address }
  }
  const stage = { sim, a: side('agent-a', 'agent-b', 1, left), b: side('agent-b', 'agent-a', 2, right) }
  sim.until('mutual trust', 60_000, () => trusts(stage.a.node, stage.b.node) && trusts(stage.b.node, stage.a.node))
  stage.b.node.listen(80, (stream) => {
    stream.echo = true
  })
  return stage
}

/**
 * One connection, a few faults within two seconds, quiet, then a check of what came back. A peer without a path for
 * four seconds is unreachable, and a dial reports it; then it is dialled again, as a program would. @returns how often.
 */
function transfer(stage: Stage, run: number): number {
  const sent = stage.sim.random.bytes(500 + stage.sim.random.below(8_000))
  for (let redials = 0; ; redials++) if (attempt(stage, run, sent)) return redials
}

/** @returns false if the dial failed. */
function attempt(stage: Stage, run: number, sent: Uint8Array): boolean {
  const { sim, a } = stage
  const { random } = sim
  const stream = a.node.dial('agent-b', 80)
  const cut = random.below(sent.length)
  stream.write(sent.subarray(0, cut))
  for (let left = 1 + random.below(3); left > 0; left--) {
    sim.run(random.below(400))
    mishap(stage)
  }
  stream.write(sent.subarray(cut))
  stream.shutdown()
  sim.run(random.below(600))
  calm(stage)
  assert.ok(
    sim.world.run({ untilMs: sim.world.nowMs + 30_000, done: () => stream.over }),
    `run ${run}: ${stream.receivedBytes} of ${sent.length} bytes are back, ${stream.state}`,
  )
  if (stream.failure !== undefined && stream.receivedBytes === 0) {
    sim.run(2_000)
    return false
  }
  assert.equal(stream.end, 'finished', `run ${run}`)
  assert.deepEqual(stream.data, Buffer.from(sent), `run ${run}`)
  return true
}

function mishap({ sim, a, b }: Stage): void {
  const { random, network } = sim
  const side = random.chance(0.5) ? a : b
  const rv = sim.beaconEndpoint.address
  switch (random.below(8)) {
    case 0:
      return network.cut(a.outside, b.outside, random.chance(0.3))
    case 1:
      return network.cut(side.outside, rv)
    case 2:
      return network.heal(a.outside, b.outside)
    case 3:
      return network.setDefaults({ delayMs: 5, jitterMs: 10, lossRate: random.next() * 0.3, duplicateRate: 0.05 })
    case 4:
      return side.nat === undefined ? side.node.rebind(moved(sim, side)) : side.nat.forget()
    case 5:
      return side.nat === undefined ? side.node.roam(moved(sim, side)) : side.nat.forget()
    case 6:
      return network.setDefaults({ delayMs: 5, maxDatagram: random.chance(0.5) ? 1_300 : 1_472 })
    default:
      return network.setDefaults({ delayMs: 1 + random.below(40), jitterMs: random.below(20) })
  }
}

function calm({ sim, a, b }: Stage): void {
  const rv = sim.beaconEndpoint.address
  for (const [x, y] of [
    [a.outside, b.outside],
    [a.outside, rv],
    [b.outside, rv],
  ] as const)
    sim.network.heal(x, y)
  sim.network.setDefaults({ delayMs: 5, jitterMs: 1 })
}

function moved(sim: SimOverlay, side: Side): { address: string; port: number } {
  return { address: side.node.endpoint.address, port: 10_000 + sim.random.below(50_000) }
}
