/** How scripts/coverage.mjs reads V8's output and source maps. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

const { decodeVlq, isExecuted, mappedPieces, roomOf } = (await import(
  String(new URL('../../../scripts/coverage.mjs', import.meta.url))
)) as {
  decodeVlq(segment: string): number[]
  isExecuted(ranges: readonly { startOffset: number; endOffset: number; count: number }[], offset: number): boolean
  mappedPieces(mappings: string, lineLengths: readonly number[]): { offset: number; line: number; column: number }[]
  roomOf(path: string): string
}

test('source map numbers are decoded with their sign, at any length', () => {
  assert.deepEqual(decodeVlq('AAgBC'), [0, 0, 16, 1])
  assert.deepEqual(decodeVlq('DD'), [-1, -1])
  assert.deepEqual(decodeVlq('gggB'), [16_384])
})

test('segments accumulate across lines: generated columns restart, source lines and columns continue', () => {
  assert.deepEqual(mappedPieces('AAAA,EACE;AACA,C', [10, 5]), [
    { offset: 0, line: 0, column: 0 },
    { offset: 2, line: 1, column: 2 },
    { offset: 11, line: 2, column: 2 },
  ])
})

test('the smallest range around a place decides whether it was executed', () => {
  const ranges = [
    { startOffset: 0, endOffset: 100, count: 1 },
    { startOffset: 20, endOffset: 60, count: 0 },
    { startOffset: 30, endOffset: 40, count: 5 },
  ]
  assert.deepEqual(
    [10, 20, 35, 59, 60].map((offset) => isExecuted(ranges, offset)),
    [true, false, true, false, true],
  )
  assert.equal(isExecuted([], 5), true)
})

test('a room is a folder in a layer, or the layer itself if it has none', () => {
  assert.equal(roomOf('src/gateway/map/group/group.ts'), 'src/gateway/map')
  assert.equal(roomOf('src/gateway/gateway.ts'), 'src/gateway')
  assert.equal(roomOf('src/base/bytes.ts'), 'src/base')
  assert.equal(roomOf('src/index.ts'), 'src')
})
