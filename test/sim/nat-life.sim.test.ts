/**
 * Life behind NATs: mappings that expire, boxes that restart, machines that move, two nodes behind one box, a different
 * beacon implementation, commands that must not be obeyed. The promises are in docs/nat.md.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePunchCommand } from '../../src/wire/beacon-messages.ts'
import { KINDS, LINUX, behind, inside } from './simulator/nat-world.ts'
import { Nat } from './simulator/nat.ts'
import type { NatBehaviour } from './simulator/nat.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimOverlayOptions } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

const RECOVERED_MS = 5_000

interface Pair {
  readonly sim: SimOverlay
  readonly a: SimNode
  readonly b: SimNode
  readonly natA: Nat | undefined
  readonly natB: Nat | undefined
}

function pairOf(
  left: NatBehaviour | undefined,
  right: NatBehaviour | undefined,
  options: Partial<SimOverlayOptions> = {},
): Pair {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 }, ...options })
  const [x, y] = [
    behind(sim, 'agent-a', 1, left, { trust: ['agent-b'] }),
    behind(sim, 'agent-b', 2, right, { trust: ['agent-a'] }),
  ]
  sim.until('mutual trust', 60_000, () => trusts(x.node, y.node) && trusts(y.node, x.node))
  sim.run(3_000) // both know their NAT
  y.node.listen(80, (stream) => {
    stream.echo = true
  })
  return { sim, a: x.node, b: y.node, natA: x.nat, natB: y.nat }
}

function dialled({ sim, a }: Pair): SimStream {
  const stream = a.dial('agent-b', 80)
  sim.until('open', 10_000, () => stream.state === 'open')
  return stream
}

/** A little data every 100 ms, endlessly. */
function trickle(sim: SimOverlay, stream: SimStream): void {
  stream.write(new Uint8Array(500))
  if (!stream.over) sim.world.after(100, () => trickle(sim, stream))
}

/** Longest silence at the dialler during the next `ms`. */
function longestGap(sim: SimOverlay, stream: SimStream, ms: number): number {
  let [longest, last, lastBytes] = [0, sim.world.nowMs, stream.receivedBytes]
  for (const end = sim.world.nowMs + ms; sim.world.nowMs < end;) {
    sim.run(20)
    if (stream.receivedBytes > lastBytes) [last, lastBytes] = [sim.world.nowMs, stream.receivedBytes]
    longest = Math.max(longest, sim.world.nowMs - last)
  }
  return longest
}

function kindOf(node: SimNode, other: SimNode): string {
  return node.peer(other)?.paths.current?.kind ?? 'none'
}

for (const [name, nat] of KINDS)
  test(`a peer behind ${name} that has dropped the tunnel is dialled along the relay, once its old mapping is gone`, () => {
    const pair = pairOf(undefined, nat)
    const { sim, a, b } = pair
    dialled(pair).close()
    sim.run(30_000) // direct, where that is possible
    sim.network.drops = () => true // nothing tells the other end
    b.turn((now) => b.core.revokeTrust(now, a.nodeId))
    sim.run(10_000)
    sim.network.drops = undefined
    assert.ok(trusts(a, b) && !trusts(b, a))
    b.requestTrust('agent-a', a.identity.publicKey)
    sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
    sim.run(200_000)
    const stream = a.dial('agent-b', 80)
    sim.until('open', 1_500, () => stream.state === 'open')
  })

test('a stream idle for an hour outlives NATs that forget after 30 s, at one packet every 15 s', () => {
  const short = { ...LINUX, expiryMs: 30_000 }
  const pair = pairOf(short, short)
  const { sim, a, b } = pair
  const stream = dialled(pair)
  sim.run(10_000)
  assert.equal(kindOf(a, b), 'punched')
  const before = sim.network.sent
  sim.run(3_600_000)
  const perMinute = (sim.network.sent - before) / 60
  stream.write(new Uint8Array(1_000))
  sim.until('the echo', 2_000, () => stream.receivedBytes === 1_000)
  assert.equal(kindOf(a, b), 'punched')
  assert.ok(perMinute < 40, `${perMinute} datagrams a minute, the beacon's included`)
})

test('a peer without streams costs no packets, however long the tunnel is up', () => {
  const pair = pairOf(LINUX, LINUX)
  const { sim, b } = pair
  const stream = dialled(pair)
  stream.shutdown()
  sim.until('the end', 10_000, () => stream.over)
  sim.run(30_000)
  let between = 0
  sim.network.audits.push(({ to }) => {
    if (to.address !== sim.beaconEndpoint.address && to.address !== '198.51.100.1') between += 1
  })
  const toBeacon = sim.network.sent
  sim.run(300_000)
  assert.equal(between - (sim.network.sent - toBeacon) / 2, 0, 'only questions to the beacon, and their answers')
  assert.equal(b.state.peers.size, 1)
})

for (const [left, right] of [
  ['linux', 'linux'],
  ['APDM/APDF', 'open'],
  ['APDM/APDF', 'APDM/APDF'],
] as const) {
  for (const side of ['dialler', 'listener'] as const) {
    test(`the ${side}'s NAT restarts and forgets everything (${left} and ${right}): bytes flow again within 5 s`, () => {
      const pair = pairOf(KINDS.get(left), KINDS.get(right))
      const nat = side === 'dialler' ? pair.natA : pair.natB
      if (nat === undefined) return // a public node has nothing to restart
      const stream = dialled(pair)
      trickle(pair.sim, stream)
      pair.sim.run(10_000)
      nat.forget()
      const gap = longestGap(pair.sim, stream, 15_000)
      assert.equal(stream.end, undefined)
      assert.ok(gap <= RECOVERED_MS, `nothing for ${gap} ms`)
    })
  }
}

for (const how of ['unnoticed', 'noticed'] as const) {
  for (const relayOnly of [false, true]) {
    test(`a node moves to another address, ${how}${relayOnly ? ', and only the relay carries' : ''}: bytes flow again within 5 s`, () => {
      const pair = pairOf(undefined, LINUX)
      const { sim, a } = pair
      if (relayOnly) for (const address of ['203.0.113.1', '203.0.113.99']) sim.network.cut(address, '198.18.0.2')
      const stream = dialled(pair)
      trickle(sim, stream)
      sim.run(10_000)
      const elsewhere = { address: '203.0.113.99', port: 7_000 }
      if (how === 'noticed') a.roam(elsewhere)
      else a.rebind(elsewhere)
      const gap = longestGap(sim, stream, 15_000)
      assert.equal(stream.end, undefined)
      assert.ok(gap <= RECOVERED_MS, `nothing for ${gap} ms`)
    })
  }
}

test('a machine sleeps for ten seconds with an idle stream: it is heard within 5 s of waking, from another address', () => {
  const pair = pairOf(LINUX, undefined)
  const { sim, a, natA } = pair
  const stream = dialled(pair)
  sim.run(10_000)
  sim.network.cut('198.18.0.1', '203.0.113.2')
  sim.network.cut('198.18.0.1', sim.beaconEndpoint.address)
  sim.run(10_000) // asleep: nothing comes out, nothing goes in
  natA!.forget()
  sim.network.heal('198.18.0.1', '203.0.113.2')
  sim.network.heal('198.18.0.1', sim.beaconEndpoint.address)
  a.roam({ address: '10.0.1.2', port: 4_001 })
  stream.write(new Uint8Array(1_000))
  sim.until('the echo', RECOVERED_MS, () => stream.receivedBytes === 1_000)
})

test('two nodes behind one NAT talk on their LAN, whether or not it hairpins', () => {
  for (const hairpinning of [true, false]) {
    const sim = new SimOverlay({ seed: 1 })
    const nat = new Nat(sim.world, sim.random, sim.network, '198.18.0.1', { ...LINUX, hairpinning })
    const a = inside(sim, 'agent-a', nat, '198.18.0.1', 1, { trust: ['agent-b'] })
    const own = { address: '10.0.1.3', port: 5_000 }
    const b = sim.node('agent-b', {
      trust: ['agent-a'],
      lanEndpoints: [own],
      behind: { nat, inside: own, outside: '198.18.0.1' },
    })
    sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
    b.listen(80)
    const stream = a.dial('agent-b', 80)
    sim.until('a LAN path on both sides', 10_000, () => kindOf(a, b) === 'lan' && kindOf(b, a) === 'lan')
    sim.until('open', 5_000, () => stream.state === 'open')
  }
})

test('two nodes behind one NAT on different subnets connect by hairpin, or by relay without it', () => {
  for (const [hairpinning, expected] of [
    [true, 'punched'],
    [false, 'relay'],
  ] as const) {
    const sim = new SimOverlay({ seed: 1 })
    const nat = new Nat(sim.world, sim.random, sim.network, '198.18.0.1', {
      mapping: 'endpoint-independent',
      filtering: 'address-and-port-dependent',
      hairpinning,
    })
    const [a, b] = [
      inside(sim, 'agent-a', nat, '198.18.0.1', 1, { trust: ['agent-b'] }),
      inside(sim, 'agent-b', nat, '198.18.0.1', 2, { trust: ['agent-a'] }),
    ]
    sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
    sim.run(3_000)
    b.listen(80)
    a.dial('agent-b', 80)
    sim.run(10_000)
    assert.deepEqual([kindOf(a, b), kindOf(b, a)], [expected, expected])
  }
})

test('double NAT on one side can still be punched', () => {
  const sim = new SimOverlay({ seed: 1 })
  const outer = new Nat(sim.world, sim.random, sim.network, '198.18.0.1', LINUX)
  const inner = new Nat(sim.world, sim.random, outer, '100.64.0.2', LINUX)
  const a = inside(sim, 'agent-a', inner, '198.18.0.1', 1, { trust: ['agent-b'] })
  const b = behind(sim, 'agent-b', 2, LINUX, { trust: ['agent-a'] }).node
  sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
  sim.run(3_000)
  b.listen(80)
  a.dial('agent-b', 80)
  sim.until('punched', 10_000, () => kindOf(a, b) === 'punched' && kindOf(b, a) === 'punched')
})

test('with a different beacon implementation the path is still found, and the NAT stays unknown', () => {
  const pair = pairOf(LINUX, KINDS.get('EIM/APDF'), { foreignBeacon: true })
  const { sim, a, b } = pair
  dialled(pair)
  sim.run(10_000)
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const)
    assert.match(kindOf(one, other), /direct|punched/)
  assert.equal(a.state.nat.filtering, 'unknown')
})

test('a punch command is obeyed only from our beacon, and never towards anything closer than the beacon', () => {
  const { sim, a } = pairOf(undefined, undefined)
  const seen: string[] = []
  sim.network.audits.push(({ from, to, bytes }) => {
    if (from.address === a.endpoint.address && bytes.length === 4) seen.push(to.address)
  })
  const command = (address: string, from = sim.beaconEndpoint): void =>
    sim.network.inject(from, a.endpoint, encodePunchCommand({ address, port: 53 }))
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '192.168.1.1',
    '169.254.1.1',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    'fe80::1',
    'ff02::1',
    'fd00::1',
  ])
    command(address)
  command('203.0.113.50', { address: '203.0.113.66', port: 9_001 })
  sim.run(1_000)
  assert.deepEqual(seen, [])
  command('203.0.113.50')
  sim.run(1_000)
  assert.deepEqual([...new Set(seen)], ['203.0.113.50'])
  assert.equal(seen.length, 5, 'repeated within half a second')
  for (let i = 0; i < 1_000; i++) command(`203.0.113.${i % 250}`)
  sim.run(2_000)
  assert.ok(seen.length < 300, `${seen.length} datagrams for a thousand commands`)
})
