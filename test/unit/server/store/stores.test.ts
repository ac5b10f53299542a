/** Every store meets the contract, and stores on disk keep what they acknowledged when their process is killed. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import { openJournalStore } from '../../../../src/server/store/journal-store.ts'
import { openLmdbStore } from '../../../../src/server/store/lmdb-store.ts'
import { MemoryStore } from '../../../../src/server/store/memory-store.ts'
import { openStore } from '../../../../src/server/store/open-store.ts'
import { storeCompliance } from './compliance.ts'

const directories: string[] = []
after(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true }))))

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pilotgate-store-'))
  directories.push(directory)
  return directory
}

storeCompliance('memory', () => {
  const disk = new Map<string, string>()
  return Promise.resolve(() => Promise.resolve(new MemoryStore(disk)))
})

for (const [name, openIt] of [
  ['lmdb', openLmdbStore],
  ['journal', openJournalStore],
] as const) {
  storeCompliance(name, async () => {
    const directory = join(await newDirectory(), 'not', 'there.yet')
    return () => openIt(directory)
  })

  test(`${name}: whatever was acknowledged survives kill -9 in the middle of writing`, async () => {
    const directory = await newDirectory()
    for (let round = 0; round < 3; round++) {
      const acknowledged = await killAfter(name, directory, round, 30)
      const store = await openIt(directory)
      const keys = new Set([...store.load('node/')].map(({ key }) => key))
      await store.close()
      for (const key of acknowledged) assert.ok(keys.has(key), `${key} was acknowledged and is lost`)
      assert.ok(acknowledged.length >= 30)
    }
  })

  test(`${name}: a directory that cannot be opened is an error that names it`, async () => {
    const file = join(await newDirectory(), 'a-file')
    await writeFile(file, '')
    await assert.rejects(openIt(file), (error: unknown) => error instanceof PilotError && error.message.includes(file))
  })
}

test('journal: an incomplete last line is left out, a damaged one is counted, and history is rewritten away', async () => {
  const directory = await newDirectory()
  const file = join(directory, 'journal')
  await writeFile(file, '["a/1",{"n":1}]\nnonsense\n["a/2",{"n":2}]\n["a/2"]\n["a/3",{"n":')
  const store = await openJournalStore(directory)
  assert.deepEqual([...store.load('a/')], [{ key: 'a/1', value: { n: 1 } }])
  assert.deepEqual([...store.load('damaged/')], [{ key: 'damaged/0', value: undefined }])
  for (let n = 0; n < 12_000; n++) store.put('a/1', { n })
  await store.flushed()
  assert.equal(await readFile(file, 'utf8'), '["a/1",{"n":11999}]\n')
  store.put('d', { n: 4 })
  await store.close()
  assert.equal(await readFile(file, 'utf8'), '["a/1",{"n":11999}]\n["d",{"n":4}]\n')
})

test('journal: a failed write is never acknowledged, nor is anything after it', async () => {
  const store = await openJournalStore(await newDirectory())
  const broken = new Error('no space left')
  const prototype = Object.getPrototypeOf(await probe()) as { datasync: () => Promise<void> }
  const { datasync } = prototype
  prototype.datasync = () => Promise.reject(broken)
  store.put('a', {})
  await assert.rejects(store.flushed(), { code: 'FAILED', cause: broken })
  prototype.datasync = datasync
  store.put('b', {})
  await assert.rejects(store.flushed(), { code: 'FAILED' })
  await assert.rejects(store.close(), { code: 'FAILED' })
})

test('a folder keeps its kind of store', async () => {
  const [lmdb, journal] = [await newDirectory(), await newDirectory()]
  for (const [directory, openIt] of [
    [lmdb, openLmdbStore],
    [journal, openJournalStore],
  ] as const) {
    const store = await openIt(directory)
    store.put('kept/1', { by: directory })
    await store.close()
    const again = await openStore(directory)
    assert.deepEqual([...again.load('kept/')], [{ key: 'kept/1', value: { by: directory } }])
    await again.close()
  }
})

/** Any open file: its prototype is where every handle has its methods. */
async function probe(): Promise<FileHandle> {
  const handle = await open(join(await newDirectory(), 'probe'), 'w')
  await handle.close()
  return handle
}

/** Runs a process that writes endlessly and prints what was flushed; kills it after `lines` acknowledgements. */
async function killAfter(kind: string, directory: string, round: number, lines: number): Promise<string[]> {
  const writer = new URL('./writer.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', writer, kind, directory, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line)
    if (acknowledged.length === lines) child.kill('SIGKILL')
  }
  return acknowledged
}
