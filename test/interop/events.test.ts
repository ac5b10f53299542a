/** The event stream with the reference of today, in both roles: its broker and ours, its publish and subscribe and ours. */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import type { Gateway } from '../e2e/harness.ts'
import { pause, Stage } from '../e2e/harness.ts'
import { packetsOut } from './containment.ts'
import type { GoNode } from './go.ts'
import { noToday, trustedPair } from './go.ts'

describe('events with a daemon of today', { skip: noToday, concurrency: false }, () => {
  let stage: Stage
  let go: GoNode
  let ours: Gateway
  let sentBefore = 0

  before(async () => {
    stage = await Stage.open()
    sentBefore = packetsOut()
    const pair = await trustedPair(stage, 'events')
    go = pair.go
    ours = pair.ours
  })
  after(async () => stage?.close())

  test('pilotctl subscribes at our broker and gets what another publishes there, ours and its own', async () => {
    const { address } = ours.ready.node
    const state = { isOver: false }
    const shown = go
      .ctl('subscribe', address, 'news', '--count', '2', '--timeout', '40s')
      .finally(() => (state.isOver = true))
    while (!state.isOver) {
      await pause(500)
      await go.ctl('publish', address, 'news', '--data', 'from go').catch(() => {})
    }
    assert.match(JSON.stringify(await shown), /from go/)
  })

  test('we subscribe at its broker and get what is published there, though its publisher leaves at once', async () => {
    const subscribed = ours.cli('sub', 'go-a', 'news', '--count', '3', '--timeout', '60s', '--json')
    const state = { isOver: false }
    void subscribed.finally(() => (state.isOver = true))
    while (!state.isOver) {
      await pause(300)
      assert.equal((await ours.cli('pub', 'go-a', 'news', '--data', 'from ours')).code, 0)
    }
    const { code, stdout } = await subscribed
    assert.equal(code, 0)
    for (const line of stdout.trim().split('\n'))
      assert.deepEqual(JSON.parse(line), { topic: 'news', data: 'from ours', bytes: 9 })
  })

  test('nothing has left the machine', () => assert.equal(packetsOut(), sentBefore))
})
