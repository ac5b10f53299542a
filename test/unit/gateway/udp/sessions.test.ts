/** The table of UDP sessions when it is full: which one is evicted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UDP_IDLE_MS, UdpSessionTable } from '../../../../src/gateway/udp/sessions.ts'

interface Session {
  usedAt: number
  answered: boolean
  readonly from: string
  close(): void
}

function table(limit: number) {
  const sessions = new UdpSessionTable<Session>(limit)
  const ended: string[] = []
  const add = (key: string, usedAt: number, answered: boolean, from = 'any'): void =>
    sessions.add(key, { usedAt, answered, from, close: () => void ended.push(key) }, (other) => other.from === from)
  return { sessions, ended, add }
}

test('the answered session silent for longest is evicted, never one still waiting', () => {
  const { sessions, ended, add } = table(3)
  add('waiting', 1, false)
  add('old', 2, true)
  add('new', 3, true)
  add('a', 4, false)
  assert.deepEqual(ended, ['old'])
  add('b', 5, false)
  assert.deepEqual(ended, ['old', 'new'])
  add('c', 6, false) // none has been answered: the oldest, as in a NAT
  assert.deepEqual([ended.at(-1), sessions.size], ['waiting', 3])
  sessions.clear()
})

test("a sender that opens ever more sessions evicts its own, not others'", () => {
  const { sessions, ended, add } = table(4)
  add('quiet', 1, true, 'other')
  for (let n = 0; n < 100; n++) add(`flood ${n}`, 10 + n, false, 'flooder')
  assert.ok(!ended.includes('quiet'))
  assert.equal(sessions.size, 4)
  sessions.clear()
})

test('silent sessions end at the next sweep; sweeps continue while any are left', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { sessions, ended, add } = table(4)
  const silent = performance.now() - UDP_IDLE_MS
  add('silent', silent, true)
  add('removed', silent, true)
  add('busy', Number.MAX_SAFE_INTEGER, true)
  sessions.remove('removed', sessions.get('removed')!)
  t.mock.timers.tick(5_000)
  assert.deepEqual([ended, sessions.size], [['removed', 'silent'], 1])
  sessions.clear()
})
