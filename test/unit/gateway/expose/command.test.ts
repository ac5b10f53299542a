/** A process for each connection: bytes both ways, its end and the connection's, and how it knows its caller. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { callerEnvironment, startCommand } from '../../../../src/gateway/expose/command.ts'
import type { Ended } from '../../../../src/gateway/expose/command.ts'

const CALLER = { nodeId: 7, address: '0:0000.0000.0007', hostname: 'agent-a', key: 'KEY', path: 'direct' } as const

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (holds()) return
    await setTimeout(20)
  }
  assert.fail(what)
}

test('input reaches the process, its end too, and the output comes back to the end', async () => {
  const ended: Ended[] = []
  const pipe = await startCommand('cat; echo bye', process.env, (end) => ended.push(end))
  pipe.end('one\ntwo\n')
  assert.equal(await text(pipe), 'one\ntwo\nbye\n')
  await until('it ended', () => ended.length > 0 || pipe.destroyed)
})

test('a megabyte passes unchanged, and a reader that stops stops the process', async () => {
  const bytes = Buffer.alloc(1_000_000, 'pilot')
  const echo = await startCommand('cat', process.env, () => {})
  echo.end(bytes)
  assert.equal(await text(echo), bytes.toString())
  const endless = await startCommand('yes', process.env, () => {})
  await setTimeout(300)
  assert.ok(endless.readableLength < 1_000_000, `${endless.readableLength} bytes are held`)
  endless.destroy()
})

test('when the connection is reset, the process ends, and what it has started', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pg-command-'))
  const pipe = await startCommand(
    `echo $$ > ${folder}/own; sleep 60 & echo $! > ${folder}/child; wait`,
    process.env,
    () => {},
  )
  const pids: number[] = []
  for (const name of ['own', 'child'])
    for (let tries = 0; pids[name === 'own' ? 0 : 1] === undefined && tries < 200; tries++) {
      const pid = Number(await readFile(join(folder, name), 'utf8').catch(() => ''))
      if (pid > 0) pids.push(pid)
      else await setTimeout(20)
    }
  assert.ok(pids.length === 2 && pids.every(isAlive), pids.join())
  pipe.destroy()
  await until('both have ended', () => !pids.some(isAlive))
  await rm(folder, { recursive: true })
})

test('a process that ignores the request to end is killed; it counts until then', async () => {
  const pipe = await startCommand(`trap '' TERM; echo ready; while :; do sleep 0.1; done`, process.env, () => {})
  await new Promise((resolve) => pipe.once('data', resolve))
  const startedAt = performance.now()
  await new Promise((resolve) => pipe.once('close', resolve).destroy())
  assert.ok(performance.now() - startedAt > 1_000, 'it was asked first')
})

test('a process that reads only a part of its input still delivers all of its output', async () => {
  const pipe = await startCommand('head -n 1; exec 0<&-; sleep 0.2; echo last', process.env, () => {})
  pipe.write('first\n')
  for (let index = 0; index < 50; index++) pipe.write(Buffer.alloc(10_000, 'x'))
  assert.match(await text(pipe), /^first\n[^]*last\n$/)
})

test('when it has ended, what it has started and left behind ends with the connection', async () => {
  const pipe = await startCommand('sleep 60 & echo $!', process.env, () => {})
  const pid = Number(String(await new Promise((resolve) => pipe.once('data', resolve))))
  await setTimeout(200)
  assert.ok(isAlive(pid), 'the output is still open')
  await new Promise((resolve) => pipe.once('close', resolve).destroy())
  await until('it has ended', () => !isAlive(pid))
})

test('a command that fails is reported with its code and the end of its standard error', async () => {
  const ended = await new Promise<Ended>((resolve) => {
    void startCommand('echo gone wrong >&2; exit 3', process.env, resolve).then((pipe) => pipe.resume())
  })
  assert.deepEqual(ended, { code: 3, signal: null, lastWords: 'gone wrong' })
})

test('the caller is in the environment; variables that it could be mistaken for, and our own, are not', () => {
  const own = { PATH: '/bin', PILOT_NODE: '1', PILOT_OTHER: 'x', PILOTGATE_ADMIN_TOKEN: 'secret' }
  assert.deepEqual(callerEnvironment(CALLER, 'tool', 'bob', own), {
    PATH: '/bin',
    PILOT_SERVICE: 'tool',
    PILOT_NODE: '7',
    PILOT_ADDRESS: '0:0000.0000.0007',
    PILOT_HOSTNAME: 'agent-a',
    PILOT_KEY: 'KEY',
    PILOT_PATH: 'direct',
    PILOT_LABEL: 'bob',
  })
  const unknown = { ...CALLER, hostname: null, key: null, path: null }
  assert.deepEqual(Object.keys(callerEnvironment(unknown, 'tool', undefined, {})), [
    'PILOT_SERVICE',
    'PILOT_NODE',
    'PILOT_ADDRESS',
  ])
})
