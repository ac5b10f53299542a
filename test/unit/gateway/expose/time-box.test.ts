/** Exposures that end on their own, on mocked timers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseExposeSpec } from '../../../../src/gateway/model/expose-spec.ts'
import { TimeBoxes } from '../../../../src/gateway/expose/time-box.ts'

test('an exposure ends after its time, once, and stays ended until it is requested again', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const over: string[] = []
  const boxes = new TimeBoxes((name, reason) => over.push(`${name} ${reason}`))
  const spec = parseExposeSpec('80=3000,for=2h')
  boxes.begin(spec)
  t.mock.timers.tick(7_199_999)
  boxes.begin(parseExposeSpec('80=3000,for=2h')) // again, after a drain or with the same file: its time keeps running
  assert.deepEqual([over, boxes.isOver(spec)], [[], false])
  t.mock.timers.tick(1)
  assert.deepEqual([over, boxes.isOver(spec)], [['80 for'], true])
  assert.equal(boxes.isOver(parseExposeSpec('80=3000,for=3h')), false) // changed, so it is wanted again
  boxes.renew('80')
  assert.equal(boxes.isOver(spec), false)
})

test('a removed or changed exposure does not end at the old time', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const over: string[] = []
  const boxes = new TimeBoxes((name) => over.push(name))
  boxes.begin(parseExposeSpec('80=3000,for=1m'))
  boxes.begin(parseExposeSpec('81=3000,for=1m'))
  boxes.begin(parseExposeSpec('81=3000,for=2m'))
  boxes.keep([parseExposeSpec('81=3000,for=2m')])
  t.mock.timers.tick(60_000)
  assert.deepEqual(over, [])
  t.mock.timers.tick(60_000)
  assert.deepEqual(over, ['81'])
})
