/** The reason of a refusal: written as in extensions.md, and read only from exactly that. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { toHex } from '../../../src/base/bytes.ts'
import { decodeRefusal, encodeRefusal } from '../../../src/wire/refusal.ts'
import { hex } from '../../vectors/load.ts'

test('the block matches the document and is read back', () => {
  const block = encodeRefusal('target_unreachable')
  assert.equal(toHex(block), '50474f31' + '050101')
  assert.equal(decodeRefusal(block), 'target_unreachable')
})

test('anything else is a refusal without a reason', () => {
  for (const text of [
    '',
    '50474f31',
    '50474f310501',
    '50474f31050102',
    '50474f31050100',
    '50474f31040101',
    '00000000050101',
  ])
    assert.equal(decodeRefusal(hex(text)), undefined, text)
})
