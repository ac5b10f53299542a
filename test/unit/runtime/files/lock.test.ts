/** The folder of a store belongs to one process at a time, and an impossible folder is reported immediately. */
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

test('a second holder is refused until the first lets go', async (context) => {
  const folder = join(await temporary(context), 'a', 'b')
  const release = await holdFolder(folder)
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder))
  await release()
  await (
    await holdFolder(folder)
  )()
})

test('what a killed process held is free', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  await (
    await holdFolder(folder)
  )()
})

/** A process that took the folder and was killed: its lock is there and dead. */
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

test('of many processes on a dead lock, at most one gets it', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  const held = (await Promise.allSettled(Array.from({ length: 8 }, () => holdFolder(folder)))).filter(
    ({ status }) => status === 'fulfilled',
  )
  assert.equal(held.length, 1)
})

test('a process that is slow while it replaces a dead lock does not take it from a faster one', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  const [slow, release] = await pausedHolder(folder)
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder), 'it is being replaced at this moment')
  release()
  await assert.rejects(
    holdFolder(folder).finally(async () => (await slow)()),
    isError('CONFLICT', folder),
  )
})

test('a process that was stopped for too long while it replaced a dead lock yields', async (context) => {
  const folder = await temporary(context)
  await killedHolder(folder)
  const [stopped, release] = await pausedHolder(folder)
  await rm(join(folder, 'lock.replacing'), { recursive: true }) // as who finds it old does
  const faster = await holdFolder(folder)
  release()
  await assert.rejects(stopped, isError('CONFLICT', folder))
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder), 'the faster one still has it')
  await faster()
})

test('a folder whose path is longer than a socket may be is held all the same', async (context) => {
  if (process.platform !== 'linux') return context.diagnostic('only where an open folder has a path')
  const folder = join(await temporary(context), 'x'.repeat(120), 'y'.repeat(120))
  const release = await holdFolder(folder)
  await assert.rejects(holdFolder(folder), isError('CONFLICT', folder))
  await release()
  await (
    await holdFolder(folder)
  )()
})

test('a file, a file system that makes nothing, and a folder without permission are errors that name the place', async (context) => {
  const folder = await temporary(context)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(holdFolder(join(folder, 'file')), isError('USAGE', 'file'))
  await assert.rejects(holdFolder(join(folder, 'file', 'below')), isError('USAGE', 'file'))
  if (process.platform === 'linux')
    await assert.rejects(holdFolder('/proc/nope/deeper'), isError('USAGE', '/proc/nope'))
  await mkdir(join(folder, 'closed'), { mode: 0o500 })
  if (process.getuid?.() === 0)
    context.diagnostic('root may write anywhere: the folder without permission was not tried')
  else await assert.rejects(holdFolder(join(folder, 'closed', 'below')), isError('USAGE', 'closed'))
  await chmod(join(folder, 'closed'), 0o700)
})

/** One that has found the dead lock, and is stopped just before it replaces it. */
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
