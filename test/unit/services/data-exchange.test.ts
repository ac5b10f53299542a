/** Port 1001: what the reference's service answered, byte for byte; what is stored, and where. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, mock, test } from 'node:test'
import { pino } from 'pino'
import { toHex } from '../../../src/base/bytes.ts'
import type { Received } from '../../../src/services/data-exchange.ts'
import { serveDataExchange } from '../../../src/services/data-exchange.ts'
import { Inbox } from '../../../src/services/inbox.ts'
import { encodeDataFrame } from '../../../src/wire/data-frame.ts'
import { hex, loadVectors } from '../../vectors/load.ts'
import { OnePortNode } from './setting.ts'

interface Exchange {
  name: string
  sent: string | string[]
  received?: string
  closed_by_service?: boolean
}

const { data_exchange: vectors } = loadVectors<{ data_exchange: { live: { exchanges: Exchange[] } } }>('services')
const dir = await mkdtemp(join(tmpdir(), 'pilotgate-inbox-'))
after(() => rm(dir, { recursive: true }))
let folders = 0
const MIB = 1_048_576

function service(): { node: OnePortNode; kept: Received[]; folder: string } {
  const [node, kept, folder] = [new OnePortNode(), [] as Received[], join(dir, String(folders++))]
  void serveDataExchange(node, new Inbox(folder), pino({ enabled: false }), (received) => kept.push(received))
  return { node, kept, folder }
}

for (const { name, sent, received, closed_by_service: closed } of vectors.live.exchanges) {
  test(`exchange: ${name}`, async () => {
    const stream = (await service().node.connect())!
    for (const part of [sent].flat()) stream.write(hex(part))
    if (closed !== true) stream.end()
    const answer = Buffer.concat((await stream.toArray()) as Buffer[])
    assert.equal(toHex(answer), received ?? '')
  })
}

test('messages are stored as JSON, binary ones intact; files under the last element of their name, never overwriting another', async () => {
  const { node, kept, folder } = service()
  const stream = (await node.connect())!
  const binary = Uint8Array.of(0, 1, 2, 0xfe, 0xff)
  stream.write(encodeDataFrame('TEXT', Buffer.from('grüße')))
  stream.write(encodeDataFrame('BINARY', binary))
  for (const name of ['../../evil.txt', '..\\evil.txt', '.hidden', 'a\u0000b/'])
    stream.write(encodeDataFrame('FILE', Buffer.from(name), name))
  stream.end()
  await stream.toArray()
  assert.deepEqual(
    kept.map(({ type, bytes, peerName }) => [type, bytes, peerName]),
    [
      ['text', 7, 'bob'],
      ['binary', 5, 'bob'],
      ['file', 14, 'bob'],
      ['file', 11, 'bob'],
      ['file', 7, 'bob'],
      ['file', 4, 'bob'],
    ],
  )
  const records = await Promise.all(
    kept.slice(0, 2).map(async ({ path }) => JSON.parse(await readFile(path, 'utf8')) as Record<string, string>),
  )
  assert.deepEqual(
    [records[0]!.data, records[0]!.from, Buffer.from(records[1]!.data!, 'base64')],
    ['grüße', 'bob', Buffer.from(binary)],
  )
  for (const { path } of kept) assert.ok(path.startsWith(folder), path)
  const names = await readdir(join(folder, 'received'))
  assert.equal(names.length, 4)
  for (const name of names) assert.match(name, /^(evil|hidden|file)-\d{8}-\d{6}\.\d{3}(-\d)?(\.txt)?$/)
})

test('a guest and a peer that is not trusted find the port closed; a frame announced as too long ends the stream', async () => {
  const { node } = service()
  for (const standing of [undefined, { guest: true as const }]) {
    node.standing = standing
    assert.equal(await node.connect(), undefined)
  }
  node.standing = {}
  const stream = (await node.connect())!
  stream.write(hex('00000001ffffffff'))
  assert.deepEqual(await stream.toArray(), [])
})

test('16 MiB in chunks of 4 KiB arrive as one message', async () => {
  const { node, kept } = service()
  const stream = (await node.connect())!
  const frame = encodeDataFrame('BINARY', Buffer.alloc(16_777_216, 7))
  for (let at = 0; at < frame.length; at += 4_096) stream.write(frame.subarray(at, at + 4_096))
  stream.end()
  assert.equal(
    Buffer.concat((await stream.toArray()) as Buffer[])
      .subarray(8)
      .toString(),
    'ACK BINARY 16777216 bytes',
  )
  assert.equal(kept[0]?.bytes, 16_777_216)
})

test('only disk space actually used counts, per peer and in total; refused data does not', async () => {
  const folder = join(dir, String(folders++))
  const inbox = new Inbox(folder)
  const date = new Date(0)
  const save = (node: number, bytes: number): Promise<string> =>
    inbox.saveFile(`${node}`, { node, name: 'bob' }, Buffer.alloc(bytes), date)
  for (let i = 0; i < 3; i++) await save(1, 16 * MIB)
  // 15 MiB are left of the share of 64: refused, and not counted.
  await assert.rejects(save(1, 16 * MIB), /this peer's share/)
  await save(1, 15 * MIB)
  for (const node of [2, 3, 4]) for (let i = 0; i < 3; i++) await save(node, 20 * MIB)
  await save(5, 8 * MIB)
  await assert.rejects(save(6, 8 * MIB), /the inbox is full/)
  // A clean-up by hand is noticed without a restart, though not at once.
  await rm(join(folder, 'received'), { recursive: true })
  mock.method(performance, 'now', () => 1e9)
  await save(6, 8 * MIB)
  mock.restoreAll()
})

test('forty kilobytes of empty messages are not an inbox full of files', async () => {
  const inbox = new Inbox(join(dir, String(folders++)))
  let kept = 0
  for (let at = 0; at < 3_000; at++)
    await inbox.saveMessage('TEXT', { node: 1, name: 'bob' }, Buffer.alloc(0), new Date(at)).then(
      () => kept++,
      (error: Error) => assert.match(error.message, /this peer's share/),
    )
  assert.equal(kept, 2_500)
})

test('control characters count as stored, six bytes each', async () => {
  const inbox = new Inbox(join(dir, String(folders++)))
  const save = (at: number): Promise<string> =>
    inbox.saveMessage('TEXT', { node: 1, name: 'bob' }, Buffer.alloc(8 * MIB, 1), new Date(at))
  await save(1)
  await assert.rejects(save(2), /this peer's share/)
})

test('a peer with idle streams does not block other peers', async () => {
  const { node } = service()
  for (let i = 0; i < 4; i++) assert.notEqual(await node.connect(), undefined)
  assert.equal(await node.connect(), undefined)
  node.peer = 3
  assert.notEqual(await node.connect(), undefined)
})

test('Q28: a node that is not trusted is heard while it answers us, a guest never', async () => {
  const { node, kept } = service()
  for (const [standing, isReply, isHeard] of [
    [undefined, false, false],
    [undefined, true, true],
    [{ guest: true }, true, false],
  ] as const) {
    node.standing = standing
    node.isReply = isReply
    const stream = await node.connect()
    assert.equal(stream !== undefined, isHeard)
    if (stream === undefined) continue
    stream.write(encodeDataFrame('TEXT', Buffer.from('the answer')))
    stream.end()
    await stream.toArray()
  }
  assert.deepEqual(
    kept.map(({ type, bytes }) => [type, bytes]),
    [['text', 10]],
  )
})
