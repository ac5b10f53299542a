/**
 * What the reference acknowledges and reports for each arrival order (sack.json), compared with ours, towards a plain
 * peer.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex } from '../../../../src/base/bytes.ts'
import { seqAdd } from '../../../../src/base/sequence.ts'
import { loadVectors } from '../../../vectors/load.ts'
import { pattern, plainStream } from './setting.ts'

interface Case {
  readonly name: string
  readonly expected_seq: number
  readonly segments_received: ReadonlyArray<{ readonly seq: number; readonly length: number }>
  readonly ack_after_each: readonly number[]
  readonly ack_payload: string | null
}

/** Where we deliberately do better: the new part of a partly old segment is kept, not discarded. */
const OURS: Readonly<Record<string, { readonly acks: readonly number[]; readonly payload: string | null }>> = {
  'partly old segment that overlaps the expected byte': { acks: [105], payload: null },
  'buffered segment that is overtaken': { acks: [1, 15], payload: null },
}

for (const one of loadVectors<{ blocks_from_segments: Case[] }>('sack').blocks_from_segments) {
  const ours = OURS[one.name]
  test(`${one.name}: ${ours === undefined ? 'as the reference' : 'better than the reference'}`, () => {
    const setting = plainStream(512, seqAdd(one.expected_seq, -1))
    const acks: number[] = []
    let payload: string | null = null
    for (const { seq, length } of one.segments_received) {
      const sent = setting.feed({ seq }, pattern(length))
      sent.push(...setting.pass(10)) // a delayed ACK
      acks.push(sent.at(-1)!.header.ack)
      const sack = sent.find((packet) => packet.payload.length > 0)
      payload = sack === undefined ? null : toHex(sack.payload)
    }
    assert.deepEqual(acks, ours?.acks ?? one.ack_after_each)
    assert.equal(payload, ours === undefined ? one.ack_payload : ours.payload)
  })
}
