/** Both stores meet the contract, and the one on disk keeps what it acknowledged when its process is killed. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import { openLmdbStore } from '../../../../src/server/store/lmdb-store.ts'
import { MemoryStore } from '../../../../src/server/store/memory-store.ts'
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

storeCompliance('lmdb', async () => {
  const directory = join(await newDirectory(), 'not', 'there.yet')
  return () => openLmdbStore(directory)
})

test('lmdb: whatever was acknowledged survives kill -9 in the middle of writing', async () => {
  const directory = await newDirectory()
  for (let round = 0; round < 3; round++) {
    const acknowledged = await killAfter(directory, round, 30)
    const store = await openLmdbStore(directory)
    const keys = new Set(store.load().map(({ key }) => key))
    await store.close()
    for (const key of acknowledged) assert.ok(keys.has(key), `${key} was acknowledged and is lost`)
    assert.ok(acknowledged.length >= 30)
  }
})

test('lmdb: a directory that cannot be opened is an error that names it', async () => {
  const file = join(await newDirectory(), 'a-file')
  await writeFile(file, '')
  await assert.rejects(
    openLmdbStore(file),
    (error: unknown) => error instanceof PilotError && error.message.includes(file),
  )
})

/** Runs a process that writes without end and prints what was flushed; kills it after `lines` acknowledgements. */
async function killAfter(directory: string, round: number, lines: number): Promise<string[]> {
  const writer = new URL('./lmdb-writer.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', writer, directory, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line)
    if (acknowledged.length === lines) child.kill('SIGKILL')
  }
  return acknowledged
}
