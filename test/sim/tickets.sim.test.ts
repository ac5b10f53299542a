/** Trust by ticket in the core: who recognises whom, which key counts, and how often the registry is polled. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress } from '../../src/base/address.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

/** Requests trust from the one node with this key. */
function ask(guest: SimNode, to: SimNode, reason: string, key = to.state.options.identity.publicKey): void {
  const peer = formatAddress({ network: 0, node: to.nodeId })
  guest.turn((now) => guest.core.requestTrust(now, { peer, node: to.nodeId, hostname: undefined, reason, key }))
}

/** @param sendsNotices false: like a registry of another make. */
function stage(seed: number, sendsNotices = true): { sim: SimOverlay; host: SimNode; guest: SimNode } {
  const sim = new SimOverlay({ seed, registryLatencyMs: 50 })
  sim.registry.knowsSessions = sendsNotices
  const [host, guest] = [sim.node(undefined), sim.node(undefined)]
  sim.until('registered', 10_000, () => host.registered && guest.registered)
  sim.run(10_000)
  return { sim, host, guest }
}

function trusts(one: SimNode, other: SimNode): boolean {
  return one.state.trust.isTrusted(other.nodeId)
}

for (const seed of [1, 2, 3]) {
  for (const sendsNotices of [true, false])
    test(`a request accepted by the judge is trusted on both sides within two seconds, with notices ${sendsNotices} (seed ${seed})`, () => {
      const { sim, host, guest } = stage(seed, sendsNotices)
      host.turn((now) => {
        host.core.setJudge(({ justification }) => (justification === 'good' ? 'accept' : undefined))
        host.core.expectGuests(now + 600_000)
      })
      ask(guest, host, 'good')
      sim.until('trust of both', 2_000, () => trusts(host, guest) && trusts(guest, host))
    })

  test(`a request refused by the judge is rejected, and never waits for a person (seed ${seed})`, () => {
    const { sim, host, guest } = stage(seed)
    host.core.setJudge(() => 'refuse')
    ask(guest, host, 'used')
    sim.until('the refusal', 15_000, () => guest.eventsOf('trust').some(({ state }) => state === 'rejected'))
    assert.deepEqual(host.state.trust.pending, [])
    assert.deepEqual(guest.state.trust.outgoing, [])
    sim.run(30_000)
    assert.ok(!trusts(host, guest) && !trusts(guest, host))
  })

  test(`a host whose key is not the pinned one is not trusted, whatever it answers (seed ${seed})`, () => {
    const { sim, host, guest } = stage(seed)
    host.core.setJudge(() => 'accept')
    ask(guest, host, 'good', new Uint8Array(32).fill(7))
    sim.until('the answer arrives', 15_000, () => guest.eventsOf('trust').some(({ state }) => state === 'key_changed'))
    host.requestTrust(String(guest.nodeId)) // nor when it asks on its own
    sim.run(30_000)
    assert.ok(!trusts(guest, host))
  })
}

test('a dial that failed for lack of trust works as soon as there is trust', () => {
  const { sim, host, guest } = stage(1)
  host.listen(80, () => {})
  const peer = formatAddress({ network: 0, node: host.nodeId })
  ask(guest, host, 'please')
  sim.until('the request arrives', 60_000, () => host.state.trust.pending.length > 0)
  const early = guest.dial(peer, 80)
  sim.until('the first dial fails', 5_000, () => early.state === 'failed')
  assert.equal(early.failure, 'NOT_TRUSTED')
  host.turn((now) => host.core.approveTrust(now, guest.nodeId))
  sim.until('trust of both', 900, () => trusts(host, guest) && trusts(guest, host))
  const late = guest.dial(peer, 80)
  sim.until('the second dial is settled', 5_000, () => late.state !== 'dialling')
  assert.equal(late.state, 'open', late.failure)
})

test("the judge is not asked about a node with a trusted peer's id but another key", () => {
  const { sim, host, guest } = stage(1)
  let asked = 0
  host.core.setJudge(() => {
    asked += 1
    return 'accept'
  })
  const key = new Uint8Array(32).fill(9)
  host.state.trust.approve({ node: guest.nodeId, key, by: 'choice', hostname: undefined, mutual: true, time: 'before' })
  ask(guest, host, 'good')
  sim.run(20_000)
  assert.equal(asked, 0)
  assert.ok(!trusts(guest, host))
})

test('a registry without notices is polled twice a second while a guest is expected, and slowly afterwards', () => {
  const { sim, host } = stage(1, false)
  const polls = (ms: number): number => {
    const before = sim.registry.requests.filter((type) => type === 'poll_handshakes').length
    sim.run(ms)
    return sim.registry.requests.filter((type) => type === 'poll_handshakes').length - before
  }
  const idle = polls(60_000)
  assert.ok(idle <= 30, `${idle} polls by two idle nodes`)
  host.turn((now) => {
    host.core.expectGuests(now + 60_000)
  })
  const expecting = polls(60_000)
  assert.ok(expecting >= 100 && expecting <= 150, `${expecting} polls`)
  const after = polls(60_000)
  assert.ok(after <= 32, `${after} polls`)
})
