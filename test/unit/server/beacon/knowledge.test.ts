/** The beacon with a registry: to which nodes it reveals an endpoint, and which may take over an id. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../../../src/base/types.ts'
import { formatEndpoint, parseEndpoint } from '../../../../src/base/types.ts'
import { Beacon } from '../../../../src/server/beacon/beacon.ts'
import { MAX_UNPROVEN_PER_SOURCE } from '../../../../src/server/beacon/constants.ts'
import {
  encodeDiscover,
  encodePunchRequest,
  RELAY_HEADER_BYTES,
  writeRelayHeader,
} from '../../../../src/wire/beacon-messages.ts'
import type { RegistryOptions } from '../../../../src/server/registry/options.ts'
import type { Member } from '../registry/setting.ts'
import { Setting } from '../registry/setting.ts'

test('a private target is revealed only to nodes that may resolve it, from where the registry saw them', () => {
  const world = new World()
  const { alice, bob, eve } = world
  assert.deepEqual(world.punch(alice, bob, '203.0.113.1:4000'), [], 'no trust')
  world.setting.report(alice, bob)
  assert.deepEqual(world.punch(alice, bob, '203.0.113.1:4000'), [], 'one side is not enough')
  world.setting.report(bob, alice)
  assert.deepEqual(world.punch(alice, bob, '203.0.113.1:4000'), ['203.0.113.1:4000', '203.0.113.2:4000'])
  assert.deepEqual(world.punch(eve, bob, '203.0.113.3:4000'), [])
  assert.deepEqual(world.punch(alice, bob, '203.0.113.3:4000'), [], 'in the name of alice')
  assert.deepEqual(world.punch(alice, bob, '203.0.113.1:5000'), [], 'from a port that was not seen')
  assert.equal(world.beacon.counters.punchesRefused, 5)
})

test('a stranger that claims the id of a silent trusted node learns nothing', () => {
  const world = new World()
  const { alice, bob } = world
  world.setting.report(alice, bob)
  world.setting.report(bob, alice)
  world.now += 100_000
  world.discover(alice, '203.0.113.3:4000')
  world.discover(bob, '203.0.113.2:4000')
  assert.deepEqual(world.punch(alice, bob, '203.0.113.3:4000'), [])
})

test("a public target is revealed to every node, wherever that node's UDP comes from", () => {
  const world = new World()
  world.setting.publish(world.bob)
  assert.equal(world.punch(world.eve, world.bob, '203.0.113.3:4000').length, 2)
  const elsewhere = world.setting.join()
  world.discover(elsewhere, '192.0.2.9:4000')
  assert.equal(world.punch(elsewhere, world.bob, '192.0.2.9:4000').length, 2)
})

test('split-addresses lets a trusted node punch even if its UDP and TCP addresses differ', () => {
  for (const compat of [[], ['split-addresses']] as const) {
    const world = new World({ compat: new Set(compat) })
    const elsewhere = world.setting.join()
    world.setting.report(elsewhere, world.bob)
    world.setting.report(world.bob, elsewhere)
    world.discover(elsewhere, '192.0.2.9:4000')
    assert.equal(world.punch(elsewhere, world.bob, '192.0.2.9:4000').length, compat.length * 2)
  }
})

test('a node that signs its UDP address is believed, one that does not sign is not', () => {
  for (const signed of [true, false]) {
    const world = new World()
    const elsewhere = world.setting.join({ listen_addr: '192.0.2.9:4000' }, signed)
    world.setting.report(elsewhere, world.bob)
    world.setting.report(world.bob, elsewhere)
    world.discover(elsewhere, '192.0.2.9:4000')
    assert.equal(world.punch(elsewhere, world.bob, '192.0.2.9:4000').length, signed ? 2 : 0)
    assert.doesNotMatch(JSON.stringify(world.setting.ask({ type: 'lookup', node_id: elsewhere.id })), /192\.0\.2\.9/)
  }
})

test('an id moves immediately to the address known to the registry, and away from it only after a minute of silence', () => {
  const world = new World()
  const { alice, beacon } = world
  world.now += 10_000
  world.discover(alice, '192.0.2.66:4000')
  assert.equal(beacon.counters.takeoversRefused, 1)
  world.now += 51_000
  world.discover(alice, '192.0.2.66:4000')
  assert.equal(beacon.counters.takeovers, 1)
  world.now += 1
  world.discover(alice, '203.0.113.1:4000')
  assert.equal(beacon.counters.takeovers, 2)
  world.now += 3_001
  world.discover(alice, '203.0.113.1:4001') // the same host, another port: a restart, or a NAT that forgot
  assert.equal(beacon.counters.takeovers, 3)
})

test('an unregistered id gets no entry, however often it is claimed', () => {
  const world = new World()
  const before = world.beacon.entryCount
  for (let id = 1_000; id < 3_000; id++)
    world.beacon.handle(world.now, encodeDiscover(id), at('192.0.2.66:4000'), () => undefined)
  assert.deepEqual([world.beacon.entryCount, world.beacon.counters.entriesUnknown], [before, 2_000])
})

test('nothing is relayed under an id that is not registered, or not there', () => {
  const world = new World()
  const { alice, bob, beacon } = world
  const relay = (sender: number, from: string): number => {
    const frame = new Uint8Array(RELAY_HEADER_BYTES + 10)
    writeRelayHeader(frame, 0, sender, bob.id)
    let sent = 0
    beacon.handle(world.now, frame, at(from), () => sent++)
    return sent
  }
  assert.equal(relay(4_242, '192.0.2.66:4000'), 0)
  assert.equal(relay(alice.id, '192.0.2.66:4000'), 0, 'she is heard elsewhere')
  assert.equal(relay(alice.id, '203.0.113.1:4000'), 1)
  assert.equal(beacon.counters.relaysForged, 2)
  const restarted = new Beacon({ knowledge: world.setting.registry.knowledge })
  restarted.handle(world.now, encodeDiscover(bob.id), at('203.0.113.2:4000'), () => undefined)
  const frame = new Uint8Array(RELAY_HEADER_BYTES + 10)
  writeRelayHeader(frame, 0, alice.id, bob.id)
  restarted.handle(world.now, frame, at('203.0.113.1:4000'), () => undefined)
  assert.equal(restarted.counters.relayed, 1, 'the registry has seen her there: she need not be heard first')
})

test('an unconfirmed source is limited to its share of entries', () => {
  const setting = new Setting()
  const beacon = new Beacon({ knowledge: setting.registry.knowledge })
  const members = Array.from({ length: MAX_UNPROVEN_PER_SOURCE + 10 }, () => setting.join())
  for (const { id } of members) beacon.handle(0, encodeDiscover(id), at('192.0.2.66:4000'), () => undefined)
  assert.deepEqual([beacon.entryCount, beacon.counters.entriesRefused], [MAX_UNPROVEN_PER_SOURCE, 10])
  const last = members.at(-1)!
  beacon.handle(0, encodeDiscover(last.id), at(`203.0.113.${last.id}:4000`.replace(/\.\d+:/, '.99:')), () => undefined)
  assert.equal(beacon.entryCount, MAX_UNPROVEN_PER_SOURCE + 1, 'another source is not affected')
})

/** Three nodes, each registered from and heard at 203.0.113.<id>. */
class World {
  readonly setting: Setting
  readonly beacon: Beacon
  readonly alice: Member
  readonly bob: Member
  readonly eve: Member
  now = 0

  constructor(options: Partial<RegistryOptions> = {}) {
    this.setting = new Setting(options)
    this.beacon = new Beacon({ knowledge: this.setting.registry.knowledge })
    const [alice, bob, eve] = [1, 2, 3].map((number) => {
      const member = this.setting.join()
      this.discover(member, `203.0.113.${number}:4000`)
      return member
    })
    if (alice === undefined || bob === undefined || eve === undefined) throw new Error('three members are wanted')
    ;[this.alice, this.bob, this.eve] = [alice, bob, eve]
  }

  discover(member: Member, from: string): void {
    this.beacon.handle(this.now, encodeDiscover(member.id), at(from), () => undefined)
  }

  /** Which nodes the beacon informs. */
  punch(requester: Member, target: Member, from: string): string[] {
    const told: string[] = []
    this.beacon.handle(this.now, encodePunchRequest(requester.id, target.id), at(from), (_bytes, to) =>
      told.push(formatEndpoint(to)),
    )
    return told
  }
}

function at(text: string): Endpoint {
  const endpoint = parseEndpoint(text)
  if (endpoint === undefined) throw new Error(`no endpoint: ${text}`)
  return endpoint
}
