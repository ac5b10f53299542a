/** Data exchange frames: every vector, in both directions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex } from '../../../src/base/bytes.ts'
import type { DataFrame } from '../../../src/wire/data-frame.ts'
import { dataFrameBytes, decodeDataFrame, encodeDataFrame } from '../../../src/wire/data-frame.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

interface Vectors {
  data_exchange: {
    frames: Array<{ name: string; type_name: DataFrame['type']; filename?: string; payload: string; frame: string }>
    decode_edge_cases: Array<{ name: string; input: string; accepted: boolean; filename?: string; payload?: string }>
  }
}

const { data_exchange: vectors } = loadVectors<Vectors>('services')

for (const { name, type_name: type, filename, payload, frame } of vectors.frames) {
  test(`frame: ${name}`, () => {
    const decoded = decodeDataFrame(hex(frame)) as DataFrame
    assert.deepEqual(
      [decoded.type, decoded.name, toHex(decoded.content), decoded.frameBytes],
      [type, filename ?? '', payload, frame.length / 2],
    )
    assert.equal(dataFrameBytes(hex(frame)), frame.length / 2)
    if (type === 'TEXT' || type === 'BINARY' || type === 'JSON' || type === 'FILE')
      assert.equal(toHex(encodeDataFrame(type, hex(payload), filename)), frame)
  })
}

for (const { name, input, accepted, filename, payload } of vectors.decode_edge_cases) {
  test(`edge: ${name}`, () => {
    const decoded = decodeDataFrame(hex(input))
    if (!accepted) return assert.equal(typeof decoded, 'string')
    assert.deepEqual(typeof decoded === 'object' && [decoded.name, toHex(decoded.content)], [filename, payload])
  })
}
