/** Which path is used: proven ones first, then reported ones; and what happens to a path that falls silent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_CANDIDATES, MAX_PROBE_TIMEOUT_MS } from '../../../../src/proto/path/constants.ts'
import { PathSelector } from '../../../../src/proto/path/selector.ts'
import { SizeMemory } from '../../../../src/proto/path/size-memory.ts'

const BEACON = { address: '198.51.100.1', port: 9_001 }

function endpoint(port: number): { address: string; port: number } {
  return { address: '203.0.113.5', port }
}

function selector(): PathSelector {
  return new PathSelector(BEACON, () => 1_472, new SizeMemory())
}

test('the relay, once admitted, is used before anything is proven, and a direct path as soon as it is proven', () => {
  const paths = selector()
  const direct = paths.addCandidate(endpoint(1), 'direct')!
  assert.equal(paths.current, direct)
  paths.admitRelay()
  assert.equal(paths.current?.kind, 'relay')
  paths.onHeard(0, paths.relay!, true)
  paths.onHeard(10, direct, true)
  paths.onAnswer(direct, 5)
  assert.equal(paths.current, direct)
})

test('PILA use the direct paths first, the relay too once it is admitted, and only the working path once there is one', () => {
  const paths = selector()
  assert.deepEqual(paths.handshakePaths(0), [paths.relay], 'there is no other path')
  const direct = paths.addCandidate(endpoint(1), 'direct')!
  assert.deepEqual(paths.handshakePaths(0), [direct])
  paths.admitRelay()
  assert.deepEqual(paths.handshakePaths(0), [direct, paths.relay])
  paths.onHeard(0, direct, true)
  paths.onAnswer(direct, 5)
  assert.deepEqual(paths.handshakePaths(0), [direct])
})

test('a thousand sources do not fill the table, and do not displace the path in use', () => {
  const paths = selector()
  const direct = paths.addCandidate(endpoint(1), 'direct')!
  paths.onHeard(0, direct, true)
  paths.onAnswer(direct, 5)
  for (let port = 2; port < 1_000; port++) paths.pathOf(endpoint(port), false)
  assert.ok(paths.all().length <= MAX_CANDIDATES + 1)
  assert.equal(paths.current, direct)
})

test('probes of a better path become rare, and stop if it never answers', () => {
  const paths = selector()
  paths.onHeard(0, paths.relay!, true)
  paths.onAnswer(paths.relay!, 5)
  paths.addCandidate(endpoint(1), 'direct')!
  const probes: number[] = []
  for (let now = 0; now < 600_000; now += 100) if (paths.takeUpgradeProbe(now) !== undefined) probes.push(now)
  assert.ok(probes.length >= 3 && probes.length <= 10, probes.join())
  assert.equal(paths.nextUpgradeProbe(), Infinity)
})

test('a path with unanswered probes is dead, and alive again when one is answered', () => {
  const paths = selector()
  const direct = paths.addCandidate(endpoint(1), 'direct')!
  paths.onHeard(0, direct, true)
  paths.onAnswer(direct, 5)
  for (let now = 0; !direct.dead && now < 60_000; now += 500) {
    direct.onProbe(now)
    if (direct.checkProbe(now)) paths.choose()
  }
  assert.ok(direct.dead)
  assert.equal(paths.current?.kind, 'relay')
  paths.onAnswer(direct, 5)
  assert.equal(paths.current, direct)
})

test('an abandoned path that is heard again is preferred to one never heard', () => {
  const paths = selector()
  const relay = paths.relay!
  paths.onHeard(0, relay, true)
  paths.onAnswer(relay, 5)
  const direct = paths.addCandidate(endpoint(1), 'direct') // reported by the registry, NAT admits nothing
  for (let now = 0; !relay.dead; now += 500) {
    // the beacon restarts
    relay.onProbe(now)
    if (relay.checkProbe(now)) paths.choose()
  }
  assert.equal(paths.current, direct)
  paths.onHeard(10_000, relay, true)
  assert.equal(paths.current, relay)
})

test('a relay that answered once and died is tried again while no other path is proven', () => {
  const paths = selector()
  paths.admitRelay()
  const relay = paths.relay!
  paths.onHeard(0, relay, true)
  paths.onAnswer(relay, 5)
  for (const at of [10_000, 20_000]) {
    relay.onProbe(at)
    relay.checkProbe(relay.probeDeadline)
  }
  assert.ok(relay.dead)
  const direct = paths.addCandidate(endpoint(1), 'direct')!
  paths.onHeard(30_000, direct, true)
  assert.equal(paths.current, direct, 'frames arrive over it, but whether ours do is unknown')
  const probed: unknown[] = []
  for (let probe; (probe = paths.takeUpgradeProbe(30_000)) !== undefined;) probed.push(probe.kind)
  assert.deepEqual(probed.toSorted(), ['direct', 'relay'])
})

test('a probe times out after MAX_PROBE_TIMEOUT_MS at most, whatever round trip was measured', () => {
  const paths = selector()
  const direct = paths.addCandidate(endpoint(1), 'direct')!
  paths.onHeard(0, direct, true)
  paths.onAnswer(direct, 2_900)
  direct.onProbe(10_000)
  assert.equal(direct.probeDeadline, 10_000 + MAX_PROBE_TIMEOUT_MS)
})

test('a ping over an unproven path does not replace an idle proven one; its answer does', () => {
  const paths = selector()
  const old = paths.addCandidate(endpoint(1), 'direct')!
  paths.onHeard(0, old, true)
  paths.onAnswer(old, 5)
  const moved = paths.addCandidate(endpoint(2), 'direct')!
  assert.equal(paths.onHeard(10_000, moved, false), false)
  assert.equal(paths.current, old, 'the peer may only be probing, through a NAT that admits nothing back')
  assert.equal(paths.takeUpgradeProbe(10_000), moved, 'but it may have moved, so it is asked')
  paths.onAnswer(moved, 5)
  assert.equal(paths.onHeard(10_020, moved, false), true)
  assert.equal(paths.current, moved)
})
