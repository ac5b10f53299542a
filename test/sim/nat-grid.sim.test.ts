/**
 * Every kind of NAT against every other (RFC 4787). Three verdicts must agree: what the nodes find, what an independent
 * judge finds possible (nat-world.ts), and the table in docs/nat.md. Whatever the outcome, the first connection opens
 * at once, by relay if need be, and its data arrives.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { KINDS, behind, isDirectPossible } from './simulator/nat-world.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

type Outcome = 'direct' | 'punched' | 'relay'

const table = readTable()

test('the table in docs/nat.md has a row and a column for every kind', () => {
  assert.deepEqual([...table.keys()], [...KINDS.keys()])
  for (const [kind, row] of table) assert.deepEqual([...row.keys()], [...KINDS.keys()], kind)
})

for (const left of KINDS.keys()) {
  test(`${left} against every kind: the first byte comes at once, and the path ends up as docs/nat.md says (seed 1)`, () => {
    for (const right of KINDS.keys()) {
      const expected = table.get(left)!.get(right)!
      assert.equal(
        isDirectPossible(KINDS.get(left), KINDS.get(right)),
        expected !== 'relay',
        `the judge about ${left} and ${right}`,
      )
      const { openMs, outcome, datagrams } = meet(left, right, expected)
      assert.equal(outcome, expected, `${left} and ${right}`)
      const isEasy = expected !== 'relay' && [left, right].every((kind) => EASY.has(kind))
      assert.ok(
        openMs <= (isEasy ? MOST_OPEN_MS : MOST_OPEN_MS + RELAY_AFTER_MS),
        `${left} and ${right}: open after ${openMs} ms`,
      )
      assert.ok(datagrams < MOST_DATAGRAMS, `${left} and ${right}: ${datagrams} datagrams`)
    }
  })
}

/** `a` dials; then both are watched until they agree on the expected path, and a while longer. */
function meet(
  left: string,
  right: string,
  expected: Outcome,
): { readonly openMs: number; readonly outcome: string; readonly datagrams: number } {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
  const a = behind(sim, 'agent-a', 1, KINDS.get(left), { trust: ['agent-b'] }).node
  const b = behind(sim, 'agent-b', 2, KINDS.get(right), { trust: ['agent-a'] }).node
  sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
  sim.until('both know their NAT', 10_000, () =>
    [a, b].every((node) => !node.state.nat.busy && node.state.nat.mapping !== 'unknown'),
  )
  b.listen(80, (stream) => {
    stream.echo = true
  })
  const [began, sentBefore] = [sim.world.nowMs, sim.network.sent]
  const stream = a.dial('agent-b', 80)
  stream.write(sim.random.bytes(20_000))
  sim.until('open', 10_000, () => stream.state === 'open')
  const openMs = sim.world.nowMs - began
  const outcome = (): string =>
    [kindOf(a, b), kindOf(b, a)].every((kind) => kind === expected) ? expected : `${kindOf(a, b)} and ${kindOf(b, a)}`
  sim.world.run({ untilMs: sim.world.nowMs + 20_000, done: () => outcome() === expected })
  sim.run(3_000) // and stays so
  assert.equal(stream.receivedBytes, 20_000, `${left} and ${right}: what was sent has come back`)
  return { openMs, outcome: outcome(), datagrams: sim.network.sent - sentBefore }
}

function kindOf(node: SimNode, other: SimNode): string {
  return node.peer(other)?.paths.current?.kind ?? 'none'
}

/** Reads the table between the markers: `| left | right… |`, cells D, P, R. */
function readTable(): ReadonlyMap<string, ReadonlyMap<string, Outcome>> {
  const text = readFileSync(new URL('../../docs/nat.md', import.meta.url), 'utf8')
  const outcomes: Readonly<Record<string, Outcome>> = { D: 'direct', P: 'punched', R: 'relay' }
  const rows = text
    .split('<!-- outcomes -->')[1]!
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  const [head, , ...body] = rows as [string[], string[], ...string[][]]
  return new Map(
    body.map(([left, ...cells]) => [left!, new Map(cells.map((cell, index) => [head[index + 1]!, outcomes[cell]!]))]),
  )
}

/** These reach each other on the first punch. */
const EASY: ReadonlySet<string> = new Set(['open', 'firewall', 'linux', 'EIM/EIF', 'EIM/ADF', 'EIM/APDF'])
/** With 10 ms of delay on each leg: registry (20 ms), a punch through the beacon (20 to 30), keys (20), SYN (20). */
const MOST_OPEN_MS = 105
/**
 * The relay is tried only after this long without an answer on a direct path, because a Go peer would never leave it
 * again. It also doubles the round trip.
 */
const RELAY_AFTER_MS = 190
/** Within about 25 s. NATs that use a new port for every probe are the worst: each probe looks like a new path. */
const MOST_DATAGRAMS = 1_000
