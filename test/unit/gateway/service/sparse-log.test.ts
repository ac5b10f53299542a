import { test } from 'node:test'
import assert from 'node:assert/strict'
import { silentLogger } from '../../../../src/runtime/log.ts'
import { SparseLog } from '../../../../src/gateway/service/sparse-log.ts'

function setting(): { readonly log: SparseLog; readonly lines: object[]; wait(ms: number): void } {
  let now = 1_000_000
  const lines: object[] = []
  const log = new SparseLog({ ...silentLogger, warn: (fields) => void lines.push(fields) }, () => now)
  return {
    log,
    lines,
    wait: (ms) => {
      now += ms
    },
  }
}

test('a kind is logged once in ten seconds, with a count of those left out', () => {
  const { log, lines, wait } = setting()
  for (let index = 0; index < 5; index++) log.warn('denied', { index }, 'denied')
  wait(10_000)
  log.warn('denied', { index: 5 }, 'denied')
  assert.deepEqual(lines, [{ index: 0 }, { index: 5, repeated: 4 }])
})

test('a peer that keeps causing new kinds cannot fill the log: 30 lines at once, then one per second, the rest counted', () => {
  const { log, lines, wait } = setting()
  for (let second = 0; second < 10; second++) {
    for (let port = 0; port < 2_000; port++) log.warn(`${second}:${port}`, {}, 'nothing is exposed there')
    wait(1_000)
  }
  assert.equal(lines.length, 39)
  log.warn('last', {}, 'x')
  const written = lines.reduce((sum, line) => sum + 1 + ((line as { unwritten?: number }).unwritten ?? 0), 0)
  assert.equal(written, 20_001)
})
