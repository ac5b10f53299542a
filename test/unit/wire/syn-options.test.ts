/** Options blocks from extensions.md: every combination survives, anything irregular is absent or malformed. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { toHex } from '../../../src/base/bytes.ts'
import { decodeSynOptions, encodeSynOptions } from '../../../src/wire/syn-options.ts'
import { hex } from '../../vectors/load.ts'

test('every combination of options is read back as written', () => {
  for (const halfClose of [false, true]) {
    for (const windowShift of [undefined, 0, 7, 14]) {
      for (const maxSegment of [undefined, 1, 1152, 65_535]) {
        for (const unchecked of [false, true]) {
          const options = { halfClose, windowShift, maxSegment, unchecked }
          assert.deepEqual(decodeSynOptions(encodeSynOptions(options)), options)
        }
      }
    }
  }
})

test('the block matches the document', () => {
  const block = encodeSynOptions({ halfClose: true, windowShift: 10, maxSegment: 4096, unchecked: true })
  assert.equal(toHex(block), '50474f31' + '0100' + '02010a' + '03021000' + '0400')
  assert.equal(
    toHex(encodeSynOptions({ halfClose: false, windowShift: undefined, maxSegment: undefined, unchecked: false })),
    '50474f31',
  )
})

test('a payload without the magic is not a block', () => {
  for (const text of ['', '50', '50474f', '50474f32', '5341434b01000000', '00'.repeat(40)])
    assert.equal(decodeSynOptions(hex(text)), 'absent', text)
})

test('a block that does not parse is malformed', () => {
  const bad = {
    'type without a length': '01',
    'value cut off': '0201',
    'value longer than the block': '030400',
    'HALF_CLOSE with a value': '010100',
    'WINDOW_BYTES without a value': '0200',
    'WINDOW_BYTES of two bytes': '02020000',
    'shift above 14': '02010f',
    'MAX_SEGMENT of one byte': '030105',
    'MAX_SEGMENT zero': '03020000',
    'UNCHECKED with a value': '040100',
    'a bad repetition of a good option': '02010a' + '0200',
    'garbage after good options': '0100' + 'ff',
  }
  for (const [name, tail] of Object.entries(bad))
    assert.equal(decodeSynOptions(hex('50474f31' + tail)), 'malformed', name)
})

test('unknown types are skipped by their length, and of a repeated option the first wins', () => {
  const block = hex('50474f31' + '7f03aabbcc' + '02010a' + '0000' + '020103' + '0302048003020001' + '0100')
  assert.deepEqual(decodeSynOptions(block), { halfClose: true, windowShift: 10, maxSegment: 1152, unchecked: false })
})

test("values out of range are the caller's bug", () => {
  for (const windowShift of [-1, 15, Number.NaN]) {
    assert.throws(
      () => encodeSynOptions({ halfClose: false, windowShift, maxSegment: undefined, unchecked: false }),
      RangeError,
    )
  }
  for (const maxSegment of [0, 65_536, Number.NaN]) {
    assert.throws(
      () => encodeSynOptions({ halfClose: false, windowShift: undefined, maxSegment, unchecked: false }),
      RangeError,
    )
  }
})
