/** Byte views and text: what their one-line comments promise. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  fromStrictUtf8,
  fromUtf8,
  readU16,
  readU32,
  toBase64,
  toHex,
  utf8,
  writeU16,
  writeU32,
} from '../../../src/base/bytes.ts'
import { seqAdd, seqDiff, seqLess } from '../../../src/base/sequence.ts'

test('integers are big-endian and unsigned, up to their largest', () => {
  const bytes = new Uint8Array(8)
  writeU32(bytes, 1, 0xfedc_ba98)
  writeU16(bytes, 6, 0xff01)
  assert.equal(toHex(bytes), '00fedcba9800ff01')
  assert.equal(readU32(bytes, 1), 0xfedc_ba98)
  assert.equal(readU16(bytes, 6), 0xff01)
})

test('equality compares every byte and the length', () => {
  assert.ok(equalBytes(utf8('abc'), utf8('abc')))
  assert.ok(!equalBytes(utf8('abc'), utf8('abd')))
  assert.ok(!equalBytes(utf8('abc'), utf8('ab')))
  assert.equal(toHex(concatBytes(utf8('a'), new Uint8Array(0), utf8('bc'))), '616263')
})

test('hex and base64 survive a round trip, and malformed input is refused', () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i)
  for (let length = 0; length < 10; length++) {
    const part = all.subarray(250 - length, 250)
    assert.deepEqual(fromBase64(toBase64(part)), part.slice())
    assert.deepEqual(fromHex(toHex(part)), part.slice())
  }
  assert.equal(toBase64(all), Buffer.from(all).toString('base64'))
  for (const text of ['A', 'AA', 'AAA', 'AA=', '=AAA', 'A===', '====', 'AA==AA==', 'AA-_', 'AA A', 'AAAA\n'])
    assert.equal(fromBase64(text), undefined, JSON.stringify(text))
  for (const text of ['a', 'gg', '0x00', ' 00', '00\n0']) assert.equal(fromHex(text), undefined, JSON.stringify(text))
})

test('bad UTF-8 is replaced or refused, as asked', () => {
  assert.equal(fromUtf8(utf8('gr\u00fc\u00df')), 'gr\u00fc\u00df')
  assert.equal(fromUtf8(Uint8Array.of(0x61, 0xff)), 'a\ufffd')
  assert.equal(fromStrictUtf8(Uint8Array.of(0x61, 0xff)), undefined)
  assert.equal(fromStrictUtf8(utf8('a')), 'a')
})

test('sequence numbers compare and add across the wrap', () => {
  assert.equal(seqAdd(0xffff_ffff, 2), 1)
  assert.equal(seqDiff(1, 0xffff_ffff), 2)
  assert.equal(seqDiff(0xffff_ffff, 1), -2)
  assert.ok(seqLess(0xffff_fff0, 5) && !seqLess(5, 0xffff_fff0) && !seqLess(5, 5))
})
