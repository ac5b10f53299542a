/** Whether a peer is still there: pinged after a second of silence, reported after 4 s, given up after PEER_DEAD_MS. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as k from '../../../../src/proto/node/constants.ts'
import { Liveness } from '../../../../src/proto/node/liveness.ts'

const KEEPS_ALIVE = true

test('an idle peer costs nothing; with streams open, one ping per KEEPALIVE_MS', () => {
  const liveness = new Liveness()
  liveness.onHeard(1_000)
  assert.deepEqual([liveness.nextTimeout(false), liveness.check(1_000_000, false, 0)], [Infinity, 0])
  const at = 1_000 + k.KEEPALIVE_MS
  assert.deepEqual([liveness.nextTimeout(KEEPS_ALIVE), liveness.check(at - 1, KEEPS_ALIVE, 0)], [at, 0])
  assert.equal(liveness.check(at, KEEPS_ALIVE, 0), k.PEER_KEEPALIVE)
  assert.equal(liveness.nextTimeout(KEEPS_ALIVE), at + k.KEEPALIVE_MS)
})

test('silence after sending bytes triggers one extra ping', () => {
  const liveness = new Liveness()
  liveness.onBytes()
  liveness.onHeard(1_000)
  assert.equal(liveness.nextTimeout(KEEPS_ALIVE), 1_000 + k.TAIL_PING_MS)
  assert.equal(liveness.check(1_000 + k.TAIL_PING_MS, KEEPS_ALIVE, 0), k.PEER_KEEPALIVE)
  liveness.onHeard(3_000)
  assert.equal(liveness.nextTimeout(KEEPS_ALIVE), 3_000 + k.KEEPALIVE_MS)
})

test('a missing answer is probed every second, reported as silence once, and finally given up', () => {
  const liveness = new Liveness()
  liveness.onHeard(0)
  liveness.onAsked(1_000, 0)
  liveness.onAsked(1_500, 0) // only the oldest counts
  const seen: Array<[ms: number, chores: number]> = []
  for (let now = 1_000; now <= 1_000 + k.PEER_DEAD_MS; now += 500) {
    const chores = liveness.check(now, KEEPS_ALIVE, now)
    if (chores !== 0) seen.push([liveness.silentFor(now), chores])
  }
  const expected = Array.from({ length: k.PEER_DEAD_MS / 1_000 }, (_, i): [number, number] => {
    const silentMs = (i + 1) * 1_000
    if (silentMs >= k.PEER_DEAD_MS) return [silentMs, k.PEER_DEAD]
    return [silentMs, k.PEER_SEARCH | (silentMs === k.PEER_SILENT_MS ? k.PEER_SILENT : 0)]
  })
  assert.deepEqual(seen, expected)
  assert.equal(liveness.isSilent, true)
  liveness.onHeard(30_000)
  assert.deepEqual([liveness.isSilent, liveness.silentFor(40_000)], [false, 0])
})

test('on a slow path the first ping waits four round trips, and the registry is queried again only occasionally', () => {
  const liveness = new Liveness()
  liveness.onAsked(0, 475)
  assert.equal(liveness.check(1_899, KEEPS_ALIVE, 0), 0)
  assert.equal(liveness.check(1_900, KEEPS_ALIVE, 1_900 - k.RESOLVE_AGAIN_MS), k.PEER_SEARCH | k.PEER_RESOLVE)
})

test('a long round trip delays the first check, but never until the peer counts as silent', () => {
  for (const [rttMs, quietMs] of [
    [100, k.QUIET_MS],
    [400, 1_600],
    [2_900, k.MAX_QUIET_MS], // measured while a process was stopped
  ] as const) {
    const liveness = new Liveness()
    liveness.onAsked(1_000, rttMs)
    assert.equal(liveness.nextTimeout(KEEPS_ALIVE), 1_000 + quietMs, `${rttMs} ms`)
  }
  assert.ok(k.MAX_QUIET_MS + k.PING_REPEAT_MS < k.PEER_SILENT_MS)
})
