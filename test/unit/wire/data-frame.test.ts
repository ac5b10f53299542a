/** Data exchange frames: every vector, in both directions, and the frames that came after them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex, utf8 } from '../../../src/base/bytes.ts'
import {
  type ContentType,
  type DataType,
  decodeDataHead,
  decodeTag,
  encodeDataFrame,
  encodeTag,
} from '../../../src/wire/data-frame.ts'
import { decodeFileStep, encodeFileStep, type FileStep } from '../../../src/wire/file-step.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

interface Vectors {
  data_exchange: {
    frames: Array<{ name: string; type_name: DataType; filename?: string; payload: string; frame: string }>
  }
}

const { data_exchange: vectors } = loadVectors<Vectors>('services')
const CONTENTS: readonly DataType[] = ['TEXT', 'BINARY', 'JSON', 'FILE'] satisfies ContentType[]

for (const { name, type_name: type, filename, payload, frame } of vectors.frames) {
  test(`frame: ${name}`, () => {
    const bytes = hex(frame)
    assert.deepEqual(decodeDataHead(bytes), { type, length: bytes.length - 8 })
    if (CONTENTS.includes(type)) assert.equal(toHex(encodeDataFrame(type, hex(payload), filename)), frame)
  })
}

test('64 MiB may be announced, not a byte more', () => {
  assert.deepEqual(decodeDataHead(hex('0000000204000000')), { type: 'BINARY', length: 67_108_864 })
  assert.equal(decodeDataHead(hex('0000000204000001')), 'too_long')
})

test('a tag names a message and the one that it answers; what is not an id is refused', () => {
  const tag = { messageId: 'a.b_c:d-9', replyTo: 'X' }
  const bytes = encodeTag(tag, 'TEXT')
  assert.equal(toHex(bytes.subarray(-4)), '00000001')
  assert.deepEqual(decodeTag(bytes.subarray(2, -4)), tag)
  assert.deepEqual(decodeTag(utf8('{"other":1}')), {})
  for (const bad of [
    '',
    '[]',
    'null',
    '{',
    '{"message_id":""}',
    '{"message_id":"a b"}',
    '{"reply_to":5}',
    `{"message_id":"${'x'.repeat(129)}"}`,
  ])
    assert.equal(decodeTag(utf8(bad)), 'bad_tag', bad)
  assert.equal(decodeTag(Uint8Array.of(0xff)), 'bad_tag')
})

const transfer = new Uint8Array(16).fill(7)
const STEPS: readonly FileStep[] = [
  {
    transfer,
    kind: 'init',
    size: 5_000_000_000,
    sha256: new Uint8Array(32).fill(1),
    chunkBytes: 49_152,
    name: 'größe.md',
  },
  { transfer, kind: 'init_ack', offset: 4_294_967_296 },
  { transfer, kind: 'chunk', offset: 3, data: Uint8Array.of(1, 2) },
  { transfer, kind: 'ack', offset: 0 },
  { transfer, kind: 'done' },
  { transfer, kind: 'complete', status: 1, text: 'full' },
  { transfer, kind: 'abort', text: '' },
]

for (const step of STEPS) {
  test(`step of a file: ${step.kind} is decoded as it was encoded, and refused when cut`, () => {
    const bytes = encodeFileStep(step)
    const decoded = decodeFileStep(bytes) as FileStep
    assert.equal(toHex(encodeFileStep(decoded)), toHex(bytes))
    assert.equal(JSON.stringify(decoded), JSON.stringify({ ...step }))
    if (step.kind === 'init' || step.kind === 'ack') assert.equal(decodeFileStep(bytes.subarray(0, -1)), 'bad_step')
    assert.equal(decodeFileStep(bytes.subarray(0, 16)), 'short')
  })
}

test('an offset that no number holds, an unknown kind and a name that is not UTF-8 are refused', () => {
  const head = '07'.repeat(16)
  assert.equal(decodeFileStep(hex(`03${head}ffffffffffffffff`)), 'bad_step')
  assert.equal(decodeFileStep(hex(`08${head}`)), 'bad_kind')
  assert.equal(decodeFileStep(hex(`06${head}`)), 'bad_step')
  assert.equal(decodeFileStep(hex(`01${head}0000000000000001${'00'.repeat(32)}000000010001ff`)), 'bad_step')
})
