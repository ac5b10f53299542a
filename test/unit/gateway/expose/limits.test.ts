/** Limits of an exposure, on their own clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExposureLimits } from '../../../../src/gateway/expose/limits.ts'
import type { Admission } from '../../../../src/gateway/expose/limits.ts'
import type { Limits } from '../../../../src/gateway/model/expose-spec.ts'

function limited(limits: Limits) {
  const clock = { now: 1_000 }
  return { clock, limits: new ExposureLimits(limits, () => clock.now) }
}

function granted(answer: Admission | string): Admission {
  assert.ok(typeof answer === 'object', `refused: ${String(answer)}`)
  return answer
}

test('without limits every peer is admitted, and no byte is counted', () => {
  const { limits } = limited({})
  for (let index = 0; index < 10_000; index++) assert.equal(granted(limits.admit(index)).pace, undefined)
})

test('open connections are counted in total and per peer, and a release makes room', () => {
  const { limits } = limited({ connections: 3, connectionsPerPeer: 2 })
  const first = granted(limits.admit(2))
  granted(limits.admit(2))
  assert.equal(limits.admit(2), 'connections')
  granted(limits.admit(3))
  assert.equal(limits.admit(3), 'connections')
  first.release()
  granted(limits.admit(3))
  assert.equal(limits.admit(2), 'connections')
})

test("new connections per second: a burst of one second's worth, then at the rate; one peer does not use up the others' share", () => {
  const { clock, limits } = limited({ newPerSecond: 4, newPerSecondPerPeer: 2 })
  assert.deepEqual(
    [2, 2, 2, 3, 3, 3].map((peer) => typeof limits.admit(peer)),
    ['object', 'object', 'string', 'object', 'object', 'string'],
  )
  assert.equal(limits.admit(5), 'rate')
  clock.now += 500
  granted(limits.admit(2))
})

test('bytes beyond the rate have to wait, so the average is the rate', () => {
  const { clock, limits } = limited({ bytesPerSecond: 1_000_000 })
  const { pace } = granted(limits.admit(2))
  const started = clock.now
  let bytes = 0
  while (clock.now - started < 10_000) {
    bytes += 65_536
    clock.now += pace!(65_536)
    if (bytes < 500_000) assert.equal(clock.now, started) // the burst
  }
  assert.ok(bytes > 10_900_000 && bytes < 11_200_000, `${bytes} bytes in ten seconds, the burst of one second included`)
})

test('two connections of a peer share its bytes, another peer has its own', () => {
  const { limits } = limited({ bytesPerSecondPerPeer: 100_000 })
  const [one, two, other] = [granted(limits.admit(2)), granted(limits.admit(2)), granted(limits.admit(3))]
  assert.equal(one.pace!(100_000), 0)
  assert.equal(two.pace!(50_000), 500)
  assert.equal(other.pace!(100_000), 0)
})

test('a datagram either fits or is dropped at no cost', () => {
  const { clock, limits } = limited({ bytesPerSecond: 100_000 })
  const admission = granted(limits.admit(2))
  const fits = (bytes: number): boolean => admission.fits(bytes)
  assert.deepEqual([fits(60_000), fits(60_000), fits(40_000), fits(1)], [true, false, true, false])
  clock.now += 10
  assert.deepEqual([fits(1_001), fits(1_000)], [false, true])
})

test('new limits count connections opened under the old ones until they end', () => {
  const before = new ExposureLimits({ connections: 3, connectionsPerPeer: 2 })
  const open = [before.admit(1), before.admit(1), before.admit(2)] as Admission[]
  const after = new ExposureLimits({ connections: 4, connectionsPerPeer: 2 })
  after.follow(before)
  assert.equal(after.admit(1), 'connections')
  const more = after.admit(2) as Admission
  assert.equal(after.admit(3), 'connections')
  open[0]!.release()
  const another = after.admit(1) as Admission
  for (const admission of [open[1]!, open[2]!, more, another]) admission.release()
  for (let index = 0; index < 2; index++) assert.equal(typeof after.admit(7), 'object')
  assert.equal(after.admit(7), 'connections')
})
