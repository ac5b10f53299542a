/**
 * Messages and files between two gateways, through their kills: what arrives, once, and what commands and events say. The
 * file in the middle of whose way both are killed is compared by its digest, and how often each byte was sent is bounded by
 * the offsets that the sender logs. PILOTGATE_LONG: 2 GiB and ten kills.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { WINDOW_BYTES } from '../../src/proto/messages/sender.ts'
import type { InboxRecord, OutgoingRecord } from '../../src/services/messages/records.ts'
import { eventually, pair, pause, Stage } from './harness.ts'
import type { Gateway, Pair } from './harness.ts'
import { noise } from './servers.ts'

const SERVE = ['--serve', 'messages']
const isLong = process.env['PILOTGATE_LONG'] !== undefined
const [FILE_BYTES, KILLS] = isLong ? [2_147_483_648, 10] : [134_217_728, 4]

describe('messages between two gateways', { concurrency: false }, () => {
  let stage: Stage
  let both: Pair
  before(async () => {
    stage = await Stage.open()
    both = await pair(stage, { args: SERVE }, { args: SERVE })
  })
  after(async () => stage.close())

  test('a text, standard input and a file arrive, with their events; what was sent is gone from the outbox', async () => {
    const { a, b } = both
    const text = await a.json<OutgoingRecord>('send', 'agent-b', '--text', 'grüße', '--reply-to', 'm0')
    assert.deepEqual([text.state, text.deliveredBytes], ['delivered', 7])
    const file = stage.path('report.bin')
    const content = noise(3_000_000)
    await writeFile(file, content)
    assert.equal((await a.json<OutgoingRecord>('send', 'agent-b', file)).state, 'delivered')
    const [first, second] = await b.json<InboxRecord[]>('inbox', 'list')
    assert.deepEqual(
      [first!.type, first!.fromName, first!.messageId, first!.replyTo],
      ['text', 'agent-a', text.id, 'm0'],
    )
    assert.deepEqual([second!.type, second!.name, second!.bytes], ['file', 'report.bin', content.length])
    assert.equal((await b.cli('inbox', 'read', text.id)).stdout, 'grüße')
    assert.ok((await readFile(second!.path)).equals(content))
    const event = await b.program.event('message')
    assert.deepEqual([event['id'], event['messageId'], event['bytes']], [first!.id, text.id, 7])
    const sent = await a.program.event('sent', ({ id }) => id === text.id)
    assert.deepEqual([sent['state'], sent['peer']], ['delivered', 'agent-b'])
    assert.deepEqual(await a.json('outbox', 'list'), [])
    assert.equal((await b.json<InboxRecord[]>('inbox', 'rm', first!.id, second!.id)).length, 2)
    assert.deepEqual(await b.json('inbox', 'list'), [])
  })

  test('a question waits for its answer; `inbox wait` sees the next message', async () => {
    const { a, b } = both
    const waiting = b.json<InboxRecord>('inbox', 'wait', '--from', 'agent-a', '--timeout', '30s')
    await pause(1_500)
    const asking = a.json<OutgoingRecord & { answer: { text: string } }>(
      'send',
      'agent-b',
      '--text',
      '2+2?',
      '--wait',
      '30s',
    )
    const question = await waiting
    await b.json('send', 'agent-a', '--text', 'something else', '--reply-to', 'other')
    await b.json('send', 'agent-a', '--text', '4', '--reply-to', question.messageId!)
    assert.equal((await asking).answer.text, '4')
    const late = await a.cli('send', 'agent-b', '--text', 'no one answers', '--wait', '1s', '--json')
    assert.equal(late.code, 124)
    assert.equal((JSON.parse(late.stdout) as { code: string }).code, 'TIMED_OUT')
  })

  test('what is sent while the peer is off survives a kill -9 of the sender, and arrives once, in order', async () => {
    const { a, b } = both
    await b.json('inbox', 'rm', '--all').catch(() => {})
    await b.program.kill()
    const ids: string[] = []
    for (const text of ['one', 'two', 'three'])
      ids.push((await a.json<OutgoingRecord>('send', 'agent-b', '--text', text)).id)
    const waiting = await a.json<OutgoingRecord[]>('outbox', 'list')
    assert.deepEqual(waiting.map(({ id, state }) => [id, state]).sort(), ids.map((id) => [id, 'waiting']).sort())
    await a.restart()
    await b.restart()
    await eventually(
      'they arrived',
      async () => ((await a.json<unknown[]>('outbox', 'list')).length === 0 ? true : undefined),
      90_000,
    )
    const arrived = await b.json<InboxRecord[]>('inbox', 'list')
    assert.deepEqual(
      arrived.map(({ messageId }) => messageId),
      ids,
    )
  })

  test('an unknown peer, a missing file and a missing content are errors', async () => {
    const { a } = both
    const unknown = await a.cli('send', 'no-such-peer', '--text', 'x', '--json')
    assert.deepEqual([unknown.code, (JSON.parse(unknown.stdout) as { code: string }).code], [5, 'NOT_FOUND'])
    const missing = await a.cli('send', 'agent-b', '/no/such/file', '--json')
    assert.equal(missing.code, 2)
    const nothing = await a.cli('send', 'agent-b', '--json')
    assert.equal(nothing.code, 2)
  })
})

test('without --serve only answers are taken; the sender learns why, and its message waits', async () => {
  const stage = await Stage.open()
  try {
    const { a, b } = await pair(stage, {}, {})
    const sent = await a.json<OutgoingRecord>('send', 'agent-b', '--text', 'hello')
    assert.deepEqual([sent.state, sent.attempts], ['waiting', 1])
    assert.match(sent.error!, /refuse|nothing/)
    // a has dialled port 1001 of b: the answer of b is admitted
    assert.equal((await b.json<OutgoingRecord>('send', 'agent-a', '--text', 'an answer')).state, 'delivered')
    assert.equal((await a.json<OutgoingRecord>('outbox', 'rm', sent.id)).state, 'cancelled')
  } finally {
    await stage.close()
  }
})

test('folders and a hook of the configuration: a command gets each arrival, a URL a POST', async () => {
  const stage = await Stage.open()
  try {
    const posted: string[] = []
    const server = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (part: string) => posted.push(part))
      request.on('end', () => response.end())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    stage.defer(async () => server.close())
    const { port } = server.address() as AddressInfo
    const out = stage.path('hook.out')
    const script = stage.path('hook.sh')
    await writeFile(script, `#!/bin/sh\ncat >> ${out}\n`)
    await chmod(script, 0o755)
    const config = (name: string, hook: string): string[] => {
      const file = stage.path(`${name}.yaml`)
      const folders = `inbox: ./${name}-in, received: ./${name}-files`
      return [file, `version: 1\nserve: { messages: { allow: [trusted], ${folders}, hook: ${hook} } }\n`]
    }
    const [aFile, aText] = config('a', `{ post: "http://127.0.0.1:${port}/hook" }`)
    const [bFile, bText] = config('b', `{ exec: [${script}] }`)
    await Promise.all([writeFile(aFile!, aText!), writeFile(bFile!, bText!)])
    const { a, b } = await pair(stage, { args: ['-c', aFile!] }, { args: ['-c', bFile!] })
    await a.json('send', 'agent-b', '--text', 'to the command')
    await b.json('send', 'agent-a', '--text', 'to the URL')
    const told = await eventually(
      'the command ran',
      async () => (await readFile(out, 'utf8').catch(() => '')) || undefined,
    )
    assert.equal((JSON.parse(told) as InboxRecord).bytes, 14)
    const body = await eventually('the POST came', () => posted[0])
    assert.equal((JSON.parse(body) as InboxRecord).fromName, 'agent-b')
    assert.equal((await readdir(stage.path('b-in'))).length, 1)
  } finally {
    await stage.close()
  }
})

test(`${FILE_BYTES} bytes, both gateways killed ${KILLS} times in the middle: equal, once, no byte sent more than twice`, async () => {
  const stage = await Stage.open()
  try {
    const { a, b } = await pair(stage, { args: SERVE }, { args: SERVE })
    const path = stage.path('big.bin')
    const digest = await writeNoise(path, FILE_BYTES)
    const offsets: number[] = []
    const note = (from: Gateway['program']): void => {
      for (const line of from.logs) if (line.msg === 'sending a file') offsets.push(Number(line['offset']))
    }
    const sending = a.cli('send', 'agent-b', path).catch(() => undefined) // it is cut off when its gateway is killed
    const partial = join(b.stateDir, 'received', '.partial')
    const arrived = async (): Promise<number> => {
      const [name] = await readdir(partial).catch(() => [])
      return name === undefined ? 0 : (await stat(join(partial, name)).catch(() => ({ size: 0 }))).size
    }
    for (let kill = 1; kill <= KILLS; kill++) {
      const next = (await arrived()) + Math.max(WINDOW_BYTES + 100_000, FILE_BYTES / (2 * KILLS))
      await eventually(`kill ${kill}`, async () => ((await arrived()) >= next ? true : undefined), 120_000)
      if (kill % 2 === 1) await b.restart()
      else {
        await a.program.kill()
        note(a.program)
        await a.restart()
      }
    }
    const received = await eventually(
      'it arrived',
      async () => (await b.json<InboxRecord[]>('inbox', 'list'))[0],
      isLong ? 600_000 : 180_000,
    )
    await eventually(
      'the receipt',
      async () => ((await a.json<unknown[]>('outbox', 'list')).length === 0 ? true : undefined),
      60_000,
    )
    note(a.program)
    await sending
    assert.equal(await digestOf(received.path), digest)
    assert.equal((await b.json<InboxRecord[]>('inbox', 'list')).length, 1)
    assert.ok(offsets.length > KILLS, `${offsets.length} attempts`)
    assert.ok(mostOften(offsets) <= 2, `offsets ${offsets.join(', ')}`)
    console.log(`# attempts began at ${offsets.join(', ')}`)
  } finally {
    await stage.close()
  }
})

/** How many attempts may have sent the same byte: each went at most a window beyond where the next one began. */
function mostOften(offsets: readonly number[]): number {
  const ends = offsets.map(
    (_, index) => (offsets[index + 1] ?? FILE_BYTES) + (index + 1 < offsets.length ? WINDOW_BYTES : 0),
  )
  return Math.max(...offsets.map((at) => offsets.filter((start, index) => start <= at && at < ends[index]!).length))
}

async function writeNoise(path: string, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  const file = createWriteStream(path)
  const block = noise(1_048_576)
  for (let at = 0; at < bytes; at += block.length) {
    block.writeUInt32BE(at / block.length, 0)
    hash.update(block)
    if (!file.write(Buffer.from(block))) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
  return hash.digest('hex')
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path)) hash.update(part as Buffer)
  return hash.digest('hex')
}
