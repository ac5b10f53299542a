/** The outbox on disk: what it accepts, what a later run finds, and how messages end that are not delivered. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { PilotError } from '../../../src/base/errors.ts'
import { Outbox } from '../../../src/services/messages/outbox.ts'
import type { EndedRecord } from '../../../src/services/messages/records.ts'

const root = await mkdtemp(join(tmpdir(), 'pilotgate-outbox-'))
after(() => rm(root, { recursive: true }))
let folders = 0

const log = { debug() {}, info() {}, warn() {}, error() {} }
const away = { dial: () => Promise.reject(new PilotError('PEER_UNREACHABLE', 'it is away')) }

async function open(dir: string, ended: EndedRecord[] = []): Promise<Outbox> {
  return await Outbox.open(dir, { node: away, log, onEnd: (record) => ended.push(record) })
}

function folder(): string {
  return join(root, String(folders++))
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 10))
}

test('what was added is there for a later run, whatever became of the file that it came from', async () => {
  const dir = folder()
  const outbox = await open(dir)
  const path = join(root, 'report.txt')
  await writeFile(path, 'version 1')
  const text = await outbox.add({ peer: 'agent-b', type: 'text', content: Buffer.from('hello'), replyTo: 'm0' })
  const file = await outbox.add({ peer: 'agent-b', type: 'file', path })
  await writeFile(path, 'version 2')
  await until(() => outbox.list(text.id)[0]!.error !== null)
  const [record] = outbox.list(text.id)
  assert.deepEqual([record!.state, record!.attempts, record!.error], ['waiting', 1, 'it is away'])
  outbox.stop() // and no more: as after a kill
  const later = await open(dir)
  assert.deepEqual(
    later.list().map(({ id, name, bytes, replyTo }) => [id, name, bytes, replyTo]),
    [
      [text.id, null, 5, 'm0'],
      [file.id, 'report.txt', 9, null],
    ],
  )
  assert.equal(await readFile(join(dir, file.id, 'content'), 'utf8'), 'version 1')
  later.stop()
})

test('a message that was not complete when its run was killed is not sent, and leaves nothing', async () => {
  const dir = folder()
  await mkdir(join(dir, 'half'), { recursive: true })
  await writeFile(join(dir, 'half', 'content'), 'half a mess')
  await mkdir(join(dir, 'bad'))
  await writeFile(join(dir, 'bad', 'about.json'), '{"id":"bad","peer":')
  const outbox = await open(dir)
  assert.deepEqual([outbox.list(), await readdir(dir)], [[], []])
  outbox.stop()
})

test('one whose time is up is given up, and one that is cancelled ends; both are gone from the disk', async () => {
  const [dir, ended] = [folder(), [] as EndedRecord[]]
  const outbox = await open(dir, ended)
  const old = await outbox.add({ peer: 'agent-b', type: 'text', content: Buffer.from('x'), forMs: 1 })
  await until(() => ended.length === 1)
  const other = await outbox.add({ peer: 'agent-c', type: 'text', content: Buffer.from('y') })
  await until(() => outbox.list(other.id)[0]!.error !== null)
  await outbox.cancel(other.id)
  await assert.rejects(outbox.cancel(other.id), { code: 'NOT_FOUND' })
  assert.deepEqual(
    ended.map(({ id, state }) => [id, state]),
    [
      [old.id, 'expired'],
      [other.id, 'cancelled'],
    ],
  )
  assert.equal(outbox.list(other.id)[0]!.state, 'cancelled')
  await until(() => outbox.list().length === 0)
  assert.deepEqual(await readdir(dir), [])
  outbox.stop()
})

test('what cannot be a message is refused with a code, and nothing is written', async () => {
  const dir = folder()
  const outbox = await open(dir)
  const content = Buffer.from('x')
  for (const request of [
    { peer: 'b', type: 'text' },
    { peer: 'b', type: 'text', content, path: '/etc/hosts' },
    { peer: 'b', type: 'text', content, replyTo: 'not an id' },
    { peer: 'b', type: 'file', path: join(root, 'no-such-file') },
    { peer: 'b', type: 'file', path: root },
    { peer: 'b', type: 'file', content, name: '../x' },
    { peer: 'b', type: 'text', content: new Uint8Array(67_108_864) },
  ] as const)
    await assert.rejects(outbox.add(request), { code: 'USAGE' })
  assert.deepEqual(await readdir(dir).catch(() => []), [])
  outbox.stop()
})
