/** Overlay ports: which one is assigned if none is requested. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { EPHEMERAL_COUNT, EPHEMERAL_FIRST } from '../../../../src/proto/node/constants.ts'
import { Ports } from '../../../../src/proto/node/ports.ts'

const LAST = EPHEMERAL_FIRST + EPHEMERAL_COUNT - 1

/** Starts two ports before the end of the range. */
function ports(): Ports {
  const start = EPHEMERAL_COUNT - 2
  return new Ports(() => Uint8Array.of(start >> 8, start & 0xff))
}

test('an unnamed datagram port is the next free one, starting at random and wrapping around', () => {
  const all = ports()
  assert.equal(all.openDatagrams(LAST), LAST)
  assert.deepEqual([all.openDatagrams(undefined), all.openDatagrams(undefined)], [LAST - 1, EPHEMERAL_FIRST])
  all.datagrams.delete(LAST - 1)
  assert.equal(all.openDatagrams(undefined), EPHEMERAL_FIRST + 1, 'a port closed just now is not the next one')
})

test('a named port that is taken is refused, and an unnamed one only when none is left', () => {
  const all = ports()
  assert.equal(all.openDatagrams(7), 7)
  assert.equal(all.openDatagrams(7), undefined)
  for (let i = 0; i < EPHEMERAL_COUNT; i++) assert.notEqual(all.openDatagrams(undefined), undefined)
  assert.equal(all.openDatagrams(undefined), undefined)
})
