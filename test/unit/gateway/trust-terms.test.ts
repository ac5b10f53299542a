/** Trust that ends on its own: on time, once, and not later because of a restart, a crash or a failed attempt. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { TrustTerms } from '../../../src/gateway/trust-terms.ts'

const HOUR_MS = 3_600_000

test('trust is revoked when its term ends, not before, and then forgotten', async (t) => {
  const { open, ended, file, tick } = world(t)
  const terms = await open()
  await terms.begin('KEY', 8 * HOUR_MS)
  assert.equal(terms.untilOf('KEY'), new Date(8 * HOUR_MS).toISOString())
  await tick(8 * HOUR_MS - 1_000)
  assert.deepEqual(ended, [])
  await tick(2_000)
  for (let turn = 0; turn < 100 && ended.length === 0; turn++) await tick(1_000)
  for (let turn = 0; turn < 1_000 && readFileSync(file, 'utf8') !== '{}\n'; turn++) await settled()
  assert.deepEqual([ended, terms.untilOf('KEY'), readFileSync(file, 'utf8')], [['KEY'], undefined, '{}\n'])
})

test('a term is on disk before it begins; after a restart it ends on time, or immediately if overdue', async (t) => {
  const { open, ended, tick } = world(t)
  const first = await open()
  await first.begin('LATE', HOUR_MS)
  await first.begin('LATER', 3 * HOUR_MS)
  first.stop()
  await tick(2 * HOUR_MS)
  assert.deepEqual(ended, [])
  const second = await open()
  assert.deepEqual(ended, ['LATE'])
  await tick(HOUR_MS + 1_000)
  for (let turn = 0; turn < 100 && ended.length < 2; turn++) await tick(1_000) // files are slow on a busy machine
  assert.deepEqual([ended, second.untilOf('LATER')], [['LATE', 'LATER'], undefined])
})

test('a failed revocation is retried; trust that a person revoked or approved again is left alone', async (t) => {
  const { open, ended, fail, tick } = world(t)
  const terms = await open()
  await terms.begin('STUCK', 60_000)
  await terms.begin('GONE', 60_000)
  await terms.forget('GONE')
  fail(2)
  await tick(61_000)
  assert.deepEqual(ended, [])
  for (let turn = 0; turn < 100 && ended.length === 0; turn++) await tick(1_000)
  assert.deepEqual(ended, ['STUCK'])
})

test('a damaged file is an error, because trust would have no end', async (t) => {
  const { open, file } = world(t)
  for (const bad of ['{', '{"KEY":"soon"}']) {
    writeFileSync(file, bad)
    await assert.rejects(open(), { code: 'STATE_UNWRITABLE' })
  }
})

function world(t: TestContext): {
  readonly open: () => Promise<TrustTerms>
  readonly ended: string[]
  readonly file: string
  readonly fail: (times: number) => void
  readonly tick: (ms: number) => Promise<void>
} {
  const folder = mkdtempSync(join(tmpdir(), 'pilotgate-terms-'))
  const opened: TrustTerms[] = []
  t.after(async () => {
    for (const terms of opened) terms.stop()
    for (let written = false; !written; written = !existsSync(folder)) {
      await settled() // the last write may still be on its way
      try {
        rmSync(folder, { recursive: true, force: true })
      } catch {}
    }
  })
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const ended: string[] = []
  let failures = 0
  const file = join(folder, 'trust-terms.json')
  const end = async (key: string): Promise<void> => {
    if (failures-- > 0) throw new Error('the registry does not answer')
    ended.push(key)
  }
  return {
    open: async () => {
      const terms = await TrustTerms.open({ file, log: { info() {}, warn() {}, error() {} }, end })
      opened.push(terms)
      return terms
    },
    ended,
    file,
    fail: (times) => {
      failures = times
    },
    tick: async (ms) => {
      t.mock.timers.tick(ms)
      await settled() // anything armed by then is due within a second
      t.mock.timers.tick(1)
      await settled()
    },
  }
}

/** Files are written for real. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve))
}
