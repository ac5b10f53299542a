/** The kind of NAT, found with two queries; "unknown" if it cannot be found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../../../src/base/types.ts'
import { NatProbe } from '../../../../src/proto/rendezvous/nat-probe.ts'
import { decodeBeaconMessage } from '../../../../src/wire/beacon-messages.ts'

const BEACON = { address: '198.51.100.1', port: 9_001 }
const OWN = { address: '10.0.0.2', port: 4_000 }
let drawn = 0
const ASKER = { publicKey: new Uint8Array(32).fill(7), random: (count: number) => new Uint8Array(count).fill(++drawn) }

/** Answers as our beacon would through the given NAT; returns after all timers. */
function found(nat: {
  firstSight: Endpoint
  secondSight: Endpoint | undefined
  unaskedComesIn: boolean
  second?: number
}): NatProbe {
  const probe = new NatProbe(BEACON, () => [OWN], ASKER)
  const second = nat.second ?? 9_002
  probe.start(0, 1)
  for (let now = 0; now < 4_000; now += 50) {
    probe.handleTimeout(now)
    const question = probe.poll(now)
    if (question === undefined) continue
    const message = decodeBeaconMessage(question.bytes)
    assert.ok(typeof message !== 'string' && message.kind === 'discover' && message.question !== undefined)
    const { transaction, answerFromSecond } = message.question
    const reply = (sight: Endpoint, isFromSecond: boolean): void => {
      const answer = { transaction, secondPort: second, isFromSecond }
      if (probe.expects(answer)) probe.handleReply(now, sight, answer)
    }
    if (question.to.port === BEACON.port) {
      assert.ok(answerFromSecond)
      if (nat.unaskedComesIn) reply(nat.firstSight, true) // overtakes the other
      reply(nat.firstSight, false)
    } else {
      assert.deepEqual(question.to, { address: BEACON.address, port: second })
      if (nat.secondSight !== undefined) reply(nat.secondSight, true)
    }
  }
  return probe
}

const OUTSIDE = { address: '203.0.113.5', port: 33_000 }
const ELSEWHERE = { address: '203.0.113.5', port: 33_001 }

test('no NAT, and whether a firewall is there', () => {
  const open = found({ firstSight: OWN, secondSight: OWN, unaskedComesIn: true })
  assert.deepEqual([open.mapping, open.filtering], ['none', 'port-independent'])
  const firewall = found({ firstSight: OWN, secondSight: OWN, unaskedComesIn: false })
  assert.deepEqual([firewall.mapping, firewall.filtering], ['none', 'address-and-port-dependent'])
})

test('a cone NAT, whatever it admits', () => {
  const restricted = found({ firstSight: OUTSIDE, secondSight: OUTSIDE, unaskedComesIn: false })
  assert.deepEqual([restricted.mapping, restricted.filtering], ['endpoint-independent', 'address-and-port-dependent'])
  const full = found({ firstSight: OUTSIDE, secondSight: OUTSIDE, unaskedComesIn: true })
  assert.deepEqual([full.mapping, full.filtering], ['endpoint-independent', 'port-independent'])
})

test('a symmetric NAT', () => {
  const probe = found({ firstSight: OUTSIDE, secondSight: ELSEWHERE, unaskedComesIn: false })
  assert.deepEqual([probe.mapping, probe.filtering], ['address-and-port-dependent', 'address-and-port-dependent'])
  const open = found({ firstSight: OUTSIDE, secondSight: ELSEWHERE, unaskedComesIn: true })
  assert.deepEqual([open.mapping, open.filtering], ['address-and-port-dependent', 'port-independent'])
})

test('an unreachable second port leaves the mapping unknown, but not whether there is a NAT', () => {
  assert.equal(found({ firstSight: OUTSIDE, secondSight: undefined, unaskedComesIn: false }).mapping, 'unknown')
  assert.equal(found({ firstSight: OWN, secondSight: undefined, unaskedComesIn: false }).mapping, 'none')
})

test('a different beacon implementation: unknown behind a NAT, none without one, and no further queries', () => {
  for (const [sight, expected] of [
    [OUTSIDE, 'unknown'],
    [OWN, 'none'],
  ] as const) {
    const probe = new NatProbe(BEACON, () => [OWN], ASKER)
    probe.start(0, 1)
    let questions = 0
    for (let now = 0; now < 60_000; now += 50) {
      probe.handleTimeout(now)
      if (probe.poll(now) === undefined) continue
      questions += 1
      probe.handleReply(now, sight, undefined)
    }
    assert.equal(probe.mapping, expected)
    assert.equal(probe.supported, false)
    assert.equal(questions, 3)
    assert.equal(probe.nextTimeout(), Infinity)
  }
})

test('while no beacon answers it keeps querying, but rarely', () => {
  const probe = new NatProbe(BEACON, () => [OWN], ASKER)
  probe.start(0, 1)
  let questions = 0
  for (let now = 0; now < 60_000; now += 50) {
    probe.handleTimeout(now)
    if (probe.poll(now) !== undefined) questions += 1
  }
  assert.ok(questions > 9 && questions <= 40, `${questions}`)
  assert.equal(probe.mapping, 'unknown')
})

test('peers elsewhere distinguish address-dependent from endpoint-independent mapping', () => {
  const cone = found({ firstSight: OUTSIDE, secondSight: OUTSIDE, unaskedComesIn: false })
  assert.equal(cone.handleSeen(OUTSIDE, OUTSIDE), false)
  assert.equal(cone.handleSeen(ELSEWHERE, OUTSIDE), true)
  assert.equal(cone.mapping, 'address-dependent')
})

test('an answer to another query, or to one from the previous phase, is rejected', () => {
  const probe = new NatProbe(BEACON, () => [OWN], ASKER)
  const answer = { transaction: new Uint8Array(8).fill(drawn + 1), secondPort: 9_002, isFromSecond: true }
  assert.ok(!probe.expects(answer) && !probe.expects(undefined), 'nothing was asked')
  probe.start(0, 1)
  assert.ok(probe.expects(answer))
  assert.ok(!probe.expects({ ...answer, transaction: new Uint8Array(8).fill(255) }))
  probe.handleReply(10, OUTSIDE, answer)
  assert.ok(!probe.expects(answer), 'the mapping takes another query')
})
