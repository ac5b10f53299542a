/**
 * A name means a key (decision 30): honest nodes alice and bob, and others given bob's name by a registry that lies or
 * has reassigned it. Each test checks all three: whom a dial reaches, whom an allow list means, and what a service
 * sees.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64 } from '../../src/base/bytes.ts'
import { fingerprintOf } from '../../src/crypto/fingerprint.ts'
import { NAME_CACHE_MS } from '../../src/proto/node/constants.ts'
import { AccessList } from '../../src/gateway/expose/access.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

/** From now on the registry answers that `hostname` belongs to `node`, whichever it is asked about. */
function giveName(sim: SimOverlay, hostname: string, node: SimNode): void {
  sim.registry.lie = (request, reply) => {
    const { type, hostname: asked, node_id: about } = request
    if (type === 'resolve_hostname' && asked === hostname)
      return { type: 'resolve_hostname_ok', node_id: node.nodeId, address: `0:0000.0000.000${node.nodeId}`, hostname }
    if (type === 'lookup' && about === node.nodeId) return { ...reply, hostname }
    if (type !== 'poll_handshakes') return reply
    const renamed = (entries: unknown): unknown =>
      (Array.isArray(entries) ? entries : []).map((entry: Record<string, unknown>) =>
        entry['from_node_id'] === node.nodeId ? { ...entry, hostname } : entry,
      )
    return { ...reply, requests: renamed(reply['requests']), responses: renamed(reply['responses']) }
  }
}

/** Whether `node`'s allow list admits the caller. */
async function allows(node: SimNode, allow: string, caller: SimNode): Promise<boolean> {
  const { trust } = node.state
  const list = new AccessList(
    {
      trustOf: async (id) => trust.entryOf(id),
      trusted: async () => trust.trusted,
      means: async (name, id) => trust.means(name, id),
      about: async () => null,
    },
    [allow],
  )
  return await list.allows(caller.nodeId)
}

function failureOf(sim: SimOverlay, from: SimNode, name: string): { code: string | undefined; text: string } {
  const stream = from.dial(name, 80)
  sim.until('the dial is settled', 60_000, () => stream.state !== 'dialling')
  const event = from.eventsOf('dial_failed').at(-1)
  return { code: stream.failure, text: event?.text ?? '' }
}

/**
 * alice and bob trust each other, and mallory is trusted by alice as mallory; all of them accept connections on port
 * 80.
 */
function stage(
  seed: number,
  others: { mallory?: boolean } = {},
): Record<'alice' | 'bob' | 'mallory', SimNode> & { sim: SimOverlay } {
  const sim = new SimOverlay({ seed })
  const alice = sim.node('alice', { trust: ['bob', ...(others.mallory === false ? [] : ['mallory'])] })
  const bob = sim.node('bob', { trust: ['alice'] })
  const mallory = sim.node('mallory', { trust: ['alice'] })
  for (const node of [alice, bob, mallory]) node.listen(80)
  sim.until('trust', 60_000, () => trusts(alice, bob) && trusts(bob, alice))
  if (others.mallory !== false)
    sim.until('trust in mallory', 60_000, () => trusts(alice, mallory) && trusts(mallory, alice))
  sim.run(60_000)
  return { sim, alice, bob, mallory }
}

/** Admits `guest` by a ticket. */
function invite(sim: SimOverlay, host: SimNode, guest: SimNode): void {
  host.turn((now) => {
    host.core.setJudge(({ justification }) => (justification === 'ticket' ? 'accept' : undefined))
    host.core.expectGuests(now + 600_000)
  })
  const key = host.identity.publicKey
  const peer = `0:0000.0000.000${host.nodeId}`
  guest.turn((now) =>
    guest.core.requestTrust(now, { peer, node: host.nodeId, hostname: undefined, reason: 'ticket', key }),
  )
  sim.until('trust by ticket', 30_000, () => trusts(host, guest) && trusts(guest, host))
}

for (const seed of [1, 2, 3]) {
  test(`a guest that takes an awaited peer's name gains nothing: no access, no dial, no name (seed ${seed})`, async () => {
    const sim = new SimOverlay({ seed })
    const alice = sim.node('alice', { trust: ['bob'] })
    const guest = sim.node('bob')
    guest.listen(80)
    sim.until('registered', 10_000, () => alice.registered && guest.registered)
    invite(sim, alice, guest)
    sim.run(60_000)
    assert.equal(await allows(alice, 'bob', guest), false)
    assert.equal(await allows(alice, 'trusted', guest), false)
    assert.equal(await allows(alice, `key:${guest.identity.publicKeyBase64}`, guest), true, 'a person can name the key')
    assert.equal(alice.state.trust.hostnameOf(guest.nodeId), undefined, 'what a service sees')
    assert.equal(failureOf(sim, alice, 'bob').code, 'NOT_FOUND')
    assert.deepEqual(
      alice.state.trust.outgoing.map(({ peer }) => peer),
      ['bob'],
      'the real one is still waited for',
    )
  })

  test(`a guest that later takes a trusted peer's name stays a guest without a name (seed ${seed})`, async () => {
    const { sim, alice, bob } = stage(seed)
    const guest = sim.node('zoe')
    guest.listen(80)
    sim.until('registered', 10_000, () => guest.registered)
    invite(sim, alice, guest)
    bob.kill()
    giveName(sim, 'bob', guest)
    sim.run(300_000)
    assert.deepEqual([await allows(alice, 'bob', guest), await allows(alice, 'bob', bob)], [false, true])
    assert.equal(alice.state.trust.hostnameOf(guest.nodeId), undefined)
    assert.equal(failureOf(sim, alice, 'bob').code, 'KEY_CHANGED')
    assert.deepEqual(guest.accepted, [])
  })

  test(`a dial that waits while trust in its peer is revoked fails, even if another node has the name (seed ${seed})`, () => {
    const { sim, alice, bob } = stage(seed)
    bob.kill()
    sim.registry.restart(true)
    const stranger = sim.node('bob', { public: true })
    stranger.listen(80)
    sim.run(60_000) // it took the name, and ids are given again
    assert.ok(stranger.registered && alice.registered)
    sim.registry.silent = true
    const stream = alice.dial('bob', 80)
    sim.run(500)
    assert.equal(stream.state, 'dialling')
    const who = { kind: 'hostname', hostname: 'bob' } as const
    alice.turn(() => assert.ok(alice.core.revokeDisplaced(who)))
    sim.registry.silent = false
    sim.until('the dial is settled', 60_000, () => stream.state !== 'dialling')
    assert.equal(stream.failure, 'NOT_TRUSTED')
    assert.deepEqual(stranger.accepted, [])
  })

  test(`a dial follows a name to an id that another peer had before (seed ${seed})`, () => {
    const { sim, alice, bob, mallory } = stage(seed, { mallory: true })
    for (const peer of ['bob', 'mallory']) assert.equal(failureOf(sim, alice, peer).code, undefined)
    const [bobs, mallorys] = [bob.nodeId, mallory.nodeId]
    for (const node of [bob, mallory]) node.kill()
    sim.registry.restart(true)
    sim.run(30_000)
    mallory.restart()
    sim.run(1_000)
    bob.restart()
    sim.until('their ids are swapped', 60_000, () => bob.nodeId === mallorys && mallory.nodeId === bobs)
    sim.run(30_000) // until they have reported their trust again
    for (const peer of ['mallory', 'bob']) assert.equal(failureOf(sim, alice, peer).code, undefined)
  })

  test(`a dial does not fail over what the registry said long ago (seed ${seed})`, () => {
    const { sim, alice, bob, mallory } = stage(seed, { mallory: true })
    bob.kill()
    sim.run(60_000)
    sim.registry.lie = ({ type, node_id: about }, reply) =>
      type === 'lookup' && about === bob.nodeId ? { ...reply, public_key: mallory.identity.publicKeyBase64 } : reply
    assert.equal(failureOf(sim, alice, 'bob').code, 'KEY_CHANGED')
    sim.registry.lie = undefined
    sim.run(NAME_CACHE_MS + 1_000)
    bob.restart()
    const stream = alice.dial('bob', 80)
    sim.until('the dial is settled', 60_000, () => stream.state !== 'dialling')
    assert.equal(stream.failure, undefined)
  })

  test(`a dial ends at once, whenever trust in its peer is revoked while it is under way (seed ${seed})`, () => {
    for (let delay = 0; delay <= 100; delay += 2) {
      const { sim, alice, bob } = stage(seed)
      bob.restart()
      sim.run(60_000) // long enough for the tunnel to be given up
      const stream = alice.dial('bob', 80)
      sim.run(delay)
      alice.turn((now) => alice.core.revokeTrust(now, bob.nodeId))
      sim.run(5_000)
      assert.notEqual(stream.state, 'dialling', `revoked after ${delay} ms`)
    }
  })

  test(`a dial by a name the registry assigns to another key fails with both fingerprints, and nothing is sent there (seed ${seed})`, () => {
    const { sim, alice, bob } = stage(seed)
    const stranger = sim.node('stranger', { public: true })
    stranger.listen(80)
    sim.until('registered', 10_000, () => stranger.registered)
    bob.kill()
    giveName(sim, 'bob', stranger)
    sim.run(300_000) // the registry has forgotten bob
    const records = sim.record()
    const { code, text } = failureOf(sim, alice, 'bob')
    assert.equal(code, 'KEY_CHANGED')
    for (const { identity } of [bob, stranger]) assert.ok(text.includes(fingerprintOf(identity.publicKey)), text)
    assert.equal(
      records.filter(({ from, to }) => from.port === alice.endpoint.port && to.port === stranger.endpoint.port).length,
      0,
      'not even a key exchange',
    )
    const [event] = alice.eventsOf('name_contested')
    assert.deepEqual([event?.hostname, event?.node], ['bob', stranger.nodeId])
    assert.deepEqual(
      alice.core.contestedNames.map(({ hostname }) => hostname),
      ['bob'],
      'what doctor shows',
    )
    assert.equal(failureOf(sim, alice, 'bob').code, 'KEY_CHANGED', 'the next one too')
    assert.equal(alice.eventsOf('name_contested').length, 1, 'reported once')
  })

  test(`a bound name reaches its key while that node runs, whatever the registry says (seed ${seed})`, () => {
    const { sim, alice, bob, mallory } = stage(seed)
    giveName(sim, 'bob', mallory)
    sim.run(60_000)
    const stream = alice.dial('bob', 80)
    sim.until('open', 10_000, () => stream.opened > 0)
    assert.equal(stream.stream!.peer, bob.nodeId)
    assert.deepEqual(mallory.accepted, [])
  })

  test(`a bound name works without the registry if the node's endpoint is known (seed ${seed})`, () => {
    const { sim, alice, bob } = stage(seed)
    const first = alice.dial('bob', 80)
    sim.until('open', 10_000, () => first.opened > 0)
    sim.registry.stop()
    sim.run(120_000)
    const second = alice.dial('bob', 80)
    sim.until('open', 10_000, () => second.opened > 0)
    assert.equal(second.stream!.peer, bob.nodeId)
  })

  test(`a trusted peer that renames itself keeps the name it was trusted under (seed ${seed})`, async () => {
    const { sim, alice, bob, mallory } = stage(seed)
    bob.kill()
    giveName(sim, 'bob', mallory)
    const call = mallory.dial('alice', 80)
    sim.until('open', 10_000, () => call.opened > 0)
    sim.run(60_000)
    assert.deepEqual([await allows(alice, 'bob', mallory), await allows(alice, 'mallory', mallory)], [false, true])
    assert.equal(alice.state.trust.hostnameOf(mallory.nodeId), 'mallory', 'what a service sees')
    const reached = alice.dial('mallory', 80)
    sim.until('open', 10_000, () => reached.opened > 0)
    assert.equal(reached.stream!.peer, mallory.nodeId)
  })

  test(`a trusted peer cannot satisfy a trust request for another peer by taking its name (seed ${seed})`, async () => {
    const { sim, alice, mallory } = stage(seed)
    giveName(sim, 'carol', mallory)
    alice.requestTrust('carol')
    mallory.requestTrust('alice')
    sim.run(120_000)
    assert.equal(alice.state.trust.hostnameOf(mallory.nodeId), 'mallory')
    assert.equal(await allows(alice, 'carol', mallory), false)
    const { code, text } = failureOf(sim, alice, 'carol')
    assert.equal(code, 'NOT_FOUND')
    assert.match(text, /trusted as mallory/)
    assert.deepEqual(
      alice.state.trust.outgoing.map(({ peer }) => peer),
      ['carol'],
    )
  })

  test(`the first node under a requested name is trusted and shown by fingerprint; with a pin only the pinned key is (seed ${seed})`, async () => {
    for (const isPinned of [false, true]) {
      const sim = new SimOverlay({ seed })
      const bob = sim.node(undefined)
      const pinnedNames = new Map([['bob', bob.identity.publicKey]])
      const alice = sim.node('alice', { trust: ['bob'], ...(isPinned && { pinnedNames }) })
      const stranger = sim.node('bob', { trust: ['alice'] })
      sim.until('registered', 10_000, () => stranger.registered)
      sim.run(60_000)
      assert.equal(trusts(alice, stranger), !isPinned)
      const shown = alice.eventsOf('trust').map(({ state, fingerprint }) => [state, fingerprint])
      const fingerprint = fingerprintOf(stranger.identity.publicKey)
      assert.ok(
        shown.some(([state, print]) => state === (isPinned ? 'key_changed' : 'approved') && print === fingerprint),
        JSON.stringify(shown),
      )
      assert.equal(await allows(alice, 'bob', stranger), !isPinned)
    }
  })

  test(`a node whose name is taken runs without it and gets it once it is free (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const camper = sim.node('bob')
    sim.until('registered', 10_000, () => camper.registered)
    const bob = sim.node('bob')
    sim.until('registered', 10_000, () => bob.registered)
    sim.run(200_000)
    assert.equal(bob.eventsOf('hostname_refused').length, 1, 'reported once')
    assert.ok(bob.registered)
    const asked = sim.registry.requests.filter((type) => type === 'set_hostname').length
    assert.ok(asked >= 3, `asked for ${asked} times`)
    sim.registry.lie = (request, reply) =>
      request['type'] === 'set_hostname' ? { type: 'set_hostname_ok', node_id: bob.nodeId, hostname: 'bob' } : reply
    sim.until('it is ours', 70_000, () => bob.eventsOf('hostname_set').length === 1)
  })

  test(`a peer with another node id and the same key is found by its name (seed ${seed})`, () => {
    const { sim, alice, bob } = stage(seed)
    const before = bob.nodeId
    bob.kill()
    sim.run(1_000)
    // The same identity under another id, as after a registry has lost part of its memory: alice's trust is unchanged.
    const other = before + 10
    sim.registry.lie = (request, reply) => {
      const { type, hostname, node_id: about } = request
      if (type === 'resolve_hostname' && hostname === 'bob')
        return { type: 'resolve_hostname_ok', node_id: other, address: '0:0000.0000.000C', hostname }
      if (type === 'lookup' && about === other)
        return { ...sim.registry.handle('192.0.2.1', { type: 'lookup', node_id: before }), node_id: other }
      if (type === 'resolve' && about === before) return { type: 'error', error: 'node not found' }
      return reply
    }
    failureOf(sim, alice, 'bob') // nothing runs there, but its endpoint is known now
    assert.equal(alice.state.trust.nodeNamed('bob'), other)
    assert.equal(toBase64(alice.state.trust.keyOf(other)!), bob.identity.publicKeyBase64)
    assert.equal(alice.state.trust.isTrusted(before), false)
  })

  test(`a request made by a person survives a restart: a later approval counts (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [alice, bob] = [sim.node('alice'), sim.node('bob')]
    sim.until('registered', 10_000, () => alice.registered && bob.registered)
    const request = { peer: 'bob', node: undefined, hostname: 'bob', reason: 'it is me', kept: true }
    alice.turn((now) => alice.core.requestTrust(now, request))
    sim.until('it waits', 60_000, () => bob.state.trust.pending.length === 1)
    alice.trustFile = alice.core.trustFile()
    alice.kill()
    bob.turn((now) => bob.core.approveTrust(now, alice.nodeId))
    sim.run(10_000)
    alice.start()
    sim.until('trust of both', 60_000, () => trusts(alice, bob) && trusts(bob, alice))
    assert.equal(alice.state.trust.hostnameOf(bob.nodeId), 'bob')
    assert.equal(alice.core.trustFile().requested, undefined)
  })
}

test('a name with two trusted keys, from an old trust file, resolves to neither and is reported', () => {
  const sim = new SimOverlay({ seed: 1 })
  const entry = { approvedAt: '', mutual: true, network: 0, hostname: 'bob' }
  const keys = [7, 8].map((fill) => toBase64(new Uint8Array(32).fill(fill)))
  const trusted = keys.map((publicKey, index) => ({ ...entry, nodeId: 50 + index, publicKey }))
  const alice = sim.node('alice', { trustFile: { trusted, pending: [] } })
  sim.until('registered', 10_000, () => alice.registered)
  const { code, text } = failureOf(sim, alice, 'bob')
  assert.equal(code, 'KEY_CHANGED')
  assert.match(text, /several trusted keys/)
})

test('a rate-limited look-up says nothing about a peer: neither that it does not exist nor that it distrusts us', () => {
  for (const limited of ['resolve_hostname', 'resolve']) {
    const sim = new SimOverlay({ seed: 1 })
    const [alice, bob] = [sim.node('alice'), sim.node('bob', { public: true })]
    sim.until('registered', 5_000, () => alice.registered && bob.registered)
    sim.run(2_000)
    sim.registry.lie = ({ type }, reply) =>
      type === limited ? { type: 'error', error: 'rate limited: too many questions from 192.0.2.1' } : reply
    const { code } = failureOf(sim, alice, 'bob')
    assert.equal(code, 'REGISTRY_UNREACHABLE', limited)
  }
})
