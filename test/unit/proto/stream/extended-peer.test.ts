/** A stream between two pilotgates, packet by packet: what old, late and unlikely packets must not do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAG_ACK, FLAG_FIN, FLAG_RST } from '../../../../src/wire/packet.ts'
import { encodeSack } from '../../../../src/wire/sack.ts'
import type { StreamSetting } from './setting.ts'
import { dataOf, extendedStream, pattern, plainStream } from './setting.ts'

function sackPayload(setting: StreamSetting, left: number, right: number): Uint8Array {
  const out = new Uint8Array(64)
  return out.slice(0, encodeSack(out, 0, [setting.own(left), setting.own(right)], 1))
}

test('late SACK blocks, far behind the current acknowledgement, are never delivered as data', () => {
  const setting = extendedStream()
  const late = sackPayload(setting, 2_000, 3_000)
  for (let sent = 0; sent < 6_000_000;) {
    setting.stream.write(pattern(64_000))
    setting.drain()
    setting.now += 1
    sent = setting.stream.sender.nxt
    setting.feed({ ack: setting.own(sent), window: 4_000 })
  }
  setting.feed({ ack: setting.own(1_000), window: 4_000 }, late)
  assert.equal(setting.stream.receiver.queuedBytes, 0, 'the reader gets bytes that were never written')
})

test('a RST from a writer with much unsent data still ends the stream', () => {
  const alice = extendedStream()
  const bob = extendedStream()
  alice.stream.write(pattern(8_000_000)) // one large write is taken whole
  alice.drain()
  alice.stream.reset(alice.now)
  const rst = alice.drain().find(({ header }) => (header.flags & FLAG_RST) !== 0)
  assert.ok(rst !== undefined)
  const offset = rst.header.seq - alice.own(0)
  bob.feed({ flags: rst.header.flags, seq: bob.peer(offset), ack: bob.own(0) })
  assert.equal(bob.stream.end, 'reset_by_peer', `RST ${offset} bytes beyond what arrived is ignored`)
})

test('a window that closes while the stream is queued is probed anyway', () => {
  const setting = extendedStream()
  const { stream } = setting
  setting.pathPayload = 1_024
  const edge = 64 * 4_096 // the window of the SYN-ACK
  stream.write(pattern(edge + 10_000))
  for (let acked = 0; acked < edge - 10 * 1_024;) {
    setting.drain()
    setting.now += 10
    acked = Math.min(stream.sender.nxt, edge - 10 * 1_024)
    setting.feed({ ack: setting.own(acked), window: (edge - acked) / 256 })
  }
  assert.equal(stream.sender.nxt, edge)
  const una = stream.sender.una
  setting.now += 10
  setting.give({ ack: setting.own(una), window: 40 }, sackPayload(setting, una + 1_024, edge))
  assert.ok(stream.hasOutput(setting.now, 1_024), 'the first segment seems lost: the node queues the stream for it')
  setting.give({ ack: setting.own(edge), window: 0 }) // it was only late, and comes in the same batch
  assert.equal(setting.poll(), undefined, 'the stream gets its turn, but cannot send')
  const probes = dataOf(setting.pass(1_000))
  assert.ok(probes.length > 0 && probes[0]!.payload.length === 1, 'the window is probed')
})

test('a repeated FIN in time-wait is acknowledged again', () => {
  const setting = extendedStream()
  setting.stream.shutdown(setting.now)
  setting.drain()
  setting.feed({ flags: FLAG_ACK | FLAG_FIN, ack: setting.own(1) })
  assert.equal(setting.stream.end, 'finished')
  assert.equal(setting.feed({ flags: FLAG_ACK | FLAG_FIN, ack: setting.own(1) }).length, 1)
})

test('an ACK of data never sent is ignored entirely', () => {
  for (const setting of [plainStream(), extendedStream()]) {
    setting.stream.write(pattern(100))
    setting.drain()
    setting.feed({ ack: setting.own(1_000_000) })
    assert.equal(setting.stream.sender.una, 0)
  }
})
