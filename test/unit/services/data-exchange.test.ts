/** Port 1001: what the reference's service answered, byte for byte; what is stored, where, and how much. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, mock, test } from 'node:test'
import { pino } from 'pino'
import { concatBytes, toHex, utf8 } from '../../../src/base/bytes.ts'
import { serveDataExchange } from '../../../src/services/data-exchange.ts'
import { Inbox, type InboxOptions } from '../../../src/services/messages/inbox.ts'
import type { InboxRecord } from '../../../src/services/messages/records.ts'
import { encodeDataFrame, encodeTag } from '../../../src/wire/data-frame.ts'
import { encodeFileStep, type FileStepBody } from '../../../src/wire/file-step.ts'
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

function inboxAt(folder: string, limits: InboxOptions['limits'] = {}): Inbox {
  const [inbox, received, journal] = ['inbox', 'received', 'messages.jsonl'].map((name) => join(folder, name))
  return new Inbox({ inbox: inbox!, received: received!, journal: journal!, limits })
}

interface Service {
  readonly node: OnePortNode
  readonly kept: InboxRecord[]
  readonly folder: string
  readonly inbox: Inbox
}

function service(folder = join(dir, String(folders++)), limits: InboxOptions['limits'] = {}): Service {
  const [node, kept, inbox] = [new OnePortNode(), [] as InboxRecord[], inboxAt(folder, limits)]
  inbox.watch((record) => kept.push(record))
  void serveDataExchange(node, inbox, pino({ enabled: false }), async ({ peer }) => peer !== 66)
  return { node, kept, folder, inbox }
}

/** Sends frames on one connection. @returns the answers. */
async function exchange(node: OnePortNode, ...frames: readonly Uint8Array[]): Promise<string[]> {
  const stream = (await node.connect())!
  for (const frame of frames) stream.write(frame)
  stream.end()
  let rest = Buffer.concat((await stream.toArray()) as Buffer[])
  const answers: string[] = []
  for (; rest.length >= 8; rest = rest.subarray(8 + rest.readUInt32BE(4)))
    answers.push(rest.subarray(8, 8 + rest.readUInt32BE(4)).toString('latin1'))
  return answers
}

/** What today's programs answer otherwise (today.md 2.6). */
const TODAY: Readonly<Record<string, RegExp>> = {
  'file with a path as its name: the directory part is dropped': /^ERR FILE save failed: the file name is a path$/,
  'unknown type 9: acknowledged, not stored': /^ERR UNKNOWN\(9\) save failed: unsupported frame type 9$/,
}

const LIVE = vectors.live.exchanges.filter(({ name }) => !name.startsWith('length 2^24 + 1')) // the limit is higher today

for (const { name, sent, received, closed_by_service: closed } of LIVE) {
  test(`exchange: ${name}`, async () => {
    const stream = (await service().node.connect())!
    for (const part of [sent].flat()) stream.write(hex(part))
    if (closed !== true) stream.end()
    const answer = Buffer.concat((await stream.toArray()) as Buffer[])
    if (TODAY[name] === undefined) assert.equal(toHex(answer), received ?? '')
    else assert.match(answer.subarray(8).toString(), TODAY[name])
  })
}

test('a message is stored as the reference stores it: text as data, anything else as base64; with its ids', async () => {
  const { node, kept } = service()
  const binary = Uint8Array.of(0, 1, 2, 0xfe, 0xff)
  const tag = encodeTag({ messageId: 'm1', replyTo: 'm0' }, 'JSON')
  await exchange(
    node,
    encodeDataFrame('TEXT', utf8('grüße "\\\n')),
    encodeDataFrame('BINARY', binary),
    encodeDataFrame('TAGGED', concatBytes(tag, utf8('{}'))),
  )
  const records = await Promise.all(
    kept.map(async ({ path }) => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>),
  )
  const { received_at: at, ...first } = records[0]!
  assert.deepEqual(first, { type: 'TEXT', from: '0:0000.0000.0002', from_name: 'bob', bytes: 11, data: 'grüße "\\\n' })
  assert.match(String(at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
  assert.deepEqual(
    [records[1]!['data'], records[1]!['data_encoding'], Buffer.from(String(records[1]!['data_b64']), 'base64')],
    [undefined, 'base64', Buffer.from(binary)],
  )
  assert.deepEqual([records[2]!['message_id'], records[2]!['reply_to']], ['m1', 'm0'])
})

test('64 MiB in chunks arrive as one message, text and other, without being held in memory', async () => {
  const { node, kept } = service()
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (const [type, byte] of [
    ['BINARY', 0xfe],
    ['TEXT', 0x61],
  ] as const) {
    const stream = (await node.connect())!
    const part = Buffer.alloc(MIB, byte)
    stream.write(encodeDataFrame(type, new Uint8Array(0)).with(4, 4))
    for (let at = 0; at < 64; at++) {
      await new Promise((resolve) => setImmediate(resolve))
      stream.write(part)
      await new Promise((resolve) => setTimeout(resolve, 5))
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    stream.end()
    assert.equal(
      Buffer.concat((await stream.toArray()) as Buffer[])
        .subarray(8)
        .toString(),
      `ACK ${type} 67108864 bytes`,
    )
  }
  assert.deepEqual(
    kept.map(({ bytes }) => bytes),
    [67_108_864, 67_108_864],
  )
  const record = JSON.parse(await readFile(kept[1]!.path, 'utf8')) as { data: string }
  assert.equal(
    createHash('sha256').update(record.data).digest('hex'),
    createHash('sha256')
      .update(Buffer.alloc(64 * MIB, 0x61))
      .digest('hex'),
  )
  assert.ok(most < 48 * MIB, `${most} bytes`)
})

test('a character that is cut between two pieces stays whole', async () => {
  const { node, kept } = service()
  const text = `${'x'.repeat(3 * 65_536 - 1)}€${'ü'.repeat(100_000)}😀`
  await exchange(node, encodeDataFrame('TEXT', utf8(text)))
  assert.equal((JSON.parse(await readFile(kept[0]!.path, 'utf8')) as { data: string }).data, text)
})

test('a message with an id is kept once, also after a restart and after it was removed', async () => {
  const { node, kept, folder, inbox } = service()
  const frame = encodeDataFrame('TAGGED', concatBytes(encodeTag({ messageId: 'm1' }, 'TEXT'), utf8('once')))
  assert.deepEqual(await exchange(node, frame, frame), ['ACK TEXT 4 bytes', 'ACK TEXT 4 bytes (duplicate)'])
  await inbox.remove(kept[0]!.id)
  const again = service(folder)
  assert.deepEqual(await exchange(again.node, frame), ['ACK TEXT 4 bytes (duplicate)'])
  again.node.peer = 3 // an id is its sender's
  assert.deepEqual(await exchange(again.node, frame), ['ACK TEXT 4 bytes'])
  assert.equal((await again.inbox.list()).length, 1)
})

test('a kill between the journal and the last rename loses nothing, and leaves nothing behind', async () => {
  const { node, kept, folder } = service()
  await exchange(node, encodeDataFrame('TEXT', utf8('hello')))
  const { id } = kept[0]!
  const journal = join(folder, 'messages.jsonl')
  const entry = JSON.parse(await readFile(journal, 'utf8')) as Record<string, unknown>
  await writeFile(join(folder, 'inbox', '.1-9.tmp'), await readFile(kept[0]!.path))
  await rm(kept[0]!.path)
  await writeFile(journal, `${JSON.stringify({ ...entry, temporary: join(folder, 'inbox', '.1-9.tmp') })}\n{"id":"cut`)
  await writeFile(join(folder, 'inbox', '.1-10.tmp'), 'half a message')
  const records = await service(folder).inbox.list()
  assert.deepEqual(
    records.map((record) => [record.id, record.fromName]),
    [[id, 'bob']],
  )
  assert.deepEqual(await readdir(join(folder, 'inbox')), [id])
})

test('messages that another program put there are listed too', async () => {
  const { inbox, folder } = service()
  assert.deepEqual(await inbox.list(), [])
  const text = '{"type":"TEXT","from":"0:0000.0000.0009","data":"hi","bytes":2,"received_at":"2026-11-30T00:00:00Z"}'
  await writeFile(join(folder, 'inbox', 'TEXT-20261130-000000.000.json'), text)
  await writeFile(join(folder, 'received', 'notes.txt'), 'abc')
  assert.deepEqual((await inbox.list()).map(({ type, from, bytes, name }) => [type, from, bytes, name]).sort(), [
    ['file', null, 3, 'notes.txt'],
    ['text', '0:0000.0000.0009', 2, null],
  ])
})

// ── Who may, and how much ──────────────────────────────────────────────────────────────────────────────────────────

test('a guest and a peer that is not admitted find the port closed; a frame announced as too long ends the stream', async () => {
  const { node } = service()
  node.standing = { guest: true }
  assert.equal(await node.connect(), undefined)
  node.standing = {}
  node.peer = 66
  assert.equal(await node.connect(), undefined)
  node.peer = 2
  const stream = (await node.connect())!
  stream.write(hex('00000001ffffffff'))
  assert.deepEqual(await stream.toArray(), [])
})

test('Q28: a node that is not trusted is heard while it answers us, a guest never', async () => {
  const { node, kept } = service()
  node.peer = 66
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

test('a peer with idle streams does not block other peers', async () => {
  const { node } = service()
  for (let i = 0; i < 8; i++) assert.notEqual(await node.connect(), undefined)
  assert.equal(await node.connect(), undefined)
  node.peer = 3
  assert.notEqual(await node.connect(), undefined)
})

test('a full inbox loses the oldest messages of the peer that has most, never those of others', async () => {
  const { node, inbox } = service(undefined, { inbox: { bytes: MIB, files: 1_000 } })
  node.peer = 3
  await exchange(node, encodeDataFrame('TEXT', utf8('from the quiet one')))
  node.peer = 2
  for (let i = 0; i < 40; i++) await exchange(node, encodeDataFrame('BINARY', Buffer.alloc(40_000, 0x80 + i)))
  const records = await inbox.list()
  assert.equal(records.filter(({ nodeId }) => nodeId === 3).length, 1)
  const kept = records.filter(({ nodeId }) => nodeId === 2)
  assert.ok(kept.length >= 14 && kept.length < 20, `${kept.length}`)
  const last = JSON.parse(await readFile(kept.at(-1)!.path, 'utf8')) as { data_b64: string }
  assert.equal(Buffer.from(last.data_b64, 'base64')[0], 0x80 + 39)
})

test('files are refused beyond the limit, per peer and in total; what is removed makes room; nothing else does', async () => {
  const { node, inbox, folder } = service(undefined, { received: { bytes: 8 * MIB, files: 100 } })
  const file = (name: string, bytes: number): Uint8Array => encodeDataFrame('FILE', Buffer.alloc(bytes), name)
  assert.deepEqual(await exchange(node, file('a', 3 * MIB)), ['ACK FILE 3145728 bytes'])
  const share = "ERR FILE save failed: this peer's share of the folder is full"
  assert.deepEqual(await exchange(node, file('b', 2 * MIB)), [share])
  node.peer = 3
  assert.deepEqual(await exchange(node, file('c', 3 * MIB)), ['ACK FILE 3145728 bytes'])
  node.peer = 4
  assert.deepEqual(await exchange(node, file('d', 3 * MIB)), ['ERR FILE save failed: the folder is full'])
  assert.equal((await readdir(join(folder, 'received'))).length, 2)
  await inbox.remove((await inbox.list())[0]!.id)
  assert.deepEqual(await exchange(node, file('d', 3 * MIB)), ['ACK FILE 3145728 bytes'])
  // A clean-up by hand is noticed without a restart, though not at once.
  await rm(join(folder, 'received'), { recursive: true })
  mock.method(performance, 'now', () => 1e9)
  node.peer = 2
  assert.deepEqual(await exchange(node, file('b', 2 * MIB)), ['ACK FILE 2097152 bytes'])
  mock.restoreAll()
})

test('names of files are kept as far as they are safe, and never overwrite another file', async () => {
  const { node, kept, folder } = service()
  for (const name of ['.hidden', '-rf', 'a\u001bb.txt', 'ü'.repeat(120), 'x.txt', 'x.txt'])
    await exchange(node, encodeDataFrame('FILE', Buffer.from(name), name))
  const names = await readdir(join(folder, 'received'))
  assert.equal(new Set(names).size, 6)
  for (const name of names) assert.match(name, /^(hidden|rf|a_b|ü{50}|x)-\d{8}-\d{6}\.\d{3}-\d{6}(\.txt)?$/)
  assert.deepEqual(
    kept.map(({ name }) => name?.slice(0, 7)),
    ['.hidden', '-rf', 'a\u001bb.txt', 'üüüüüüü', 'x.txt', 'x.txt'],
  )
})

// ── Files in steps ─────────────────────────────────────────────────────────────────────────────────────────────────

const CONTENT = Buffer.from('0123456789')
const sha256 = createHash('sha256').update(CONTENT).digest()
const step = (body: FileStepBody): Uint8Array =>
  encodeDataFrame('STREAM', encodeFileStep({ transfer: sha256.subarray(0, 16), ...body }))
const INIT = step({ kind: 'init', size: 10, sha256, chunkBytes: 4, name: 'digits' })
const part = (from: number, to: number): Uint8Array =>
  step({ kind: 'chunk', offset: from, data: CONTENT.subarray(from, to) })

test('a file continues after a restart where its part on disk ends, each sender on its own', async () => {
  const { node, folder } = service()
  await exchange(node, INIT, part(0, 4))
  node.peer = 3
  await exchange(node, INIT, part(0, 2))
  const again = service(folder)
  assert.equal((await exchange(again.node, INIT))[0]!.charCodeAt(24), 4)
  await exchange(again.node, INIT, part(4, 10), step({ kind: 'done' }))
  assert.deepEqual(await Promise.all(again.kept.map(async ({ name, path }) => [name, await readFile(path, 'utf8')])), [
    ['digits', '0123456789'],
  ])
  assert.equal((await readdir(join(folder, 'received', '.partial'))).length, 1) // the other sender's
  const answers = await exchange(service(folder).node, INIT, step({ kind: 'done' }))
  assert.equal(answers[1]!.slice(17), '\0ok')
  assert.equal((await again.inbox.list()).length, 1)
})

test('parts that were left behind count as used', async () => {
  const { node } = service(undefined, { received: { bytes: 50_000, files: 100 } })
  const big = createHash('sha256').update('big').digest()
  const transfer = big.subarray(0, 16)
  const send = (body: FileStepBody): Uint8Array => encodeDataFrame('STREAM', encodeFileStep({ transfer, ...body }))
  const init = send({ kind: 'init', size: 20_000, sha256: big, chunkBytes: 1, name: 'big' })
  await exchange(node, init, send({ kind: 'chunk', offset: 0, data: new Uint8Array(19_000) }))
  assert.deepEqual(await exchange(node, encodeDataFrame('FILE', new Uint8Array(5_000), 'small')), [
    'ACK FILE 5000 bytes',
  ])
  assert.match((await exchange(node, INIT))[0]!, /share of the folder is full/)
})

test('a transfer that another connection receives is refused until that one stands still', async () => {
  const { node } = service()
  const holding = (await node.connect())!
  holding.write(INIT)
  await new Promise((resolve) => holding.once('readable', resolve))
  assert.match((await exchange(node, INIT))[0]!, /arriving already/)
  const later = performance.now() + 4_000
  mock.method(performance, 'now', () => later)
  assert.deepEqual((await exchange(node, INIT, part(0, 10), step({ kind: 'done' }))).length, 3)
  mock.restoreAll()
  holding.write(part(0, 4))
  holding.end()
  const answers = Buffer.concat((await holding.toArray()) as Buffer[]).toString('latin1')
  assert.match(answers, /another connection has taken over$/)
})
