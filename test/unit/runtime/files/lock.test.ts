/** A store's folder belongs to one process at a time, and an unusable folder is reported immediately. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import { holdFolder } from '../../../../src/runtime/files/lock.ts'
import type { Release } from '../../../../src/runtime/files/lock.ts'

const FOLDER_FILE = new URL('../../../../src/runtime/files/lock.ts', import.meta.url).pathname

test('a second holder is refused until the first releases it', async (context) => {
  const folder = join(await temporary(context), 'a', 'b')
  const release = await holdFolder(folder)
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder))
  await release()
  await (
    await holdFolder(folder)
  )()
})

test("a killed process's lock is free", async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  await (
    await holdFolder(folder)
  )()
})

/** A process that took the folder and was killed: a stale lock is left. */
async function killedHolder(folder: string): Promise<void> {
  const code = `import { holdFolder } from ${JSON.stringify(FOLDER_FILE)}\nholdFolder(${JSON.stringify(folder)}).then(() => { console.log('held'); setInterval(() => {}, 1000) })`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder))
  child.kill('SIGKILL')
  await once(child, 'exit')
}

test('of many processes competing for a stale lock, at most one gets it', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  const held = (await Promise.allSettled(Array.from({ length: 8 }, () => holdFolder(folder)))).filter(
    ({ status }) => status === 'fulfilled',
  )
  assert.equal(held.length, 1)
})

test('a process slow to replace a stale lock does not take it from a faster one', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  const [slow, release] = await pausedHolder(folder)
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder), 'it is just being replaced')
  release()
  await assert.rejects(
    holdFolder(folder).finally(async () => (await slow)()),
    isError('CONFLICT', folder),
  )
})

test('a process stopped for too long while replacing a stale lock yields', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  const [stopped, release] = await pausedHolder(folder)
  await rm(join(folder, 'lock.replacing'), { recursive: true }) // as a process that finds it old does
  const faster = await holdFolder(folder)
  release()
  await assert.rejects(stopped, isError('CONFLICT', folder))
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder), 'the faster one still has it')
  await faster()
})

test('a folder whose path is too long for a socket can still be locked', async (context) => {
  if (process.platform !== 'linux') return context.diagnostic('only where an open folder has a path')
  const folder = join(await temporary(context), 'x'.repeat(120), 'y'.repeat(120))
  const release = await holdFolder(folder)
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder))
  await release()
  await (
    await holdFolder(folder)
  )()
})

test('a file, a read-only file system and a folder without permission are errors that name the path', async (context) => {
  const folder = await temporary(context)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(holdFolder(join(folder, 'file')), isError('USAGE', 'file'))
  await assert.rejects(holdFolder(join(folder, 'file', 'below')), isError('USAGE', 'file'))
  if (process.platform === 'linux')
    await assert.rejects(holdFolder('/proc/nope/deeper'), isError('USAGE', '/proc/nope'))
  await mkdir(join(folder, 'closed'), { mode: 0o500 })
  if (process.getuid?.() === 0)
    context.diagnostic('root may write anywhere: the folder without permission was not tested')
  else await assert.rejects(holdFolder(join(folder, 'closed', 'below')), isError('USAGE', 'closed'))
  await chmod(join(folder, 'closed'), 0o700)
})

/** A process that has found the stale lock and is stopped just before replacing it. */
async function pausedHolder(folder: string): Promise<[holding: Promise<Release>, release: () => void]> {
  let [release, reached]: [() => void, () => void] = [() => {}, () => {}]
  const paused = new Promise<void>((resolve) => {
    release = resolve
  })
  const there = new Promise<void>((resolve) => {
    reached = resolve
  })
  const holding = holdFolder(folder, undefined, () => {
    reached()
    return paused
  })
  holding.catch(() => {})
  await there
  return [holding, release]
}

function isError(code: string, text: string): (error: unknown) => boolean {
  return (error) => error instanceof PilotError && error.code === code && error.message.includes(text)
}

async function temporary(context: {
  diagnostic?(text: string): void
  after(done: () => Promise<void>): void
}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-folder-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
