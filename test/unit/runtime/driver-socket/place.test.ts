/** Where the driver socket is: made privately, never in the place of something alive, and everywhere that is free. */
import { afterEach, beforeEach, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PilotError } from '../../../../src/base/errors.ts'
import { inodeOf, isFree, listenAt, removeSocket, usualPlaces } from '../../../../src/runtime/driver-socket/place.ts'

let dir: string
const servers: Server[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pg-place-'))
})
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
  rmSync(dir, { recursive: true, force: true })
})

function server(): Server {
  const made = createServer((socket) => socket.on('error', () => {}).end('here'))
  servers.push(made)
  return made
}

test('a socket is made with mode 0600 in a folder of mode 0700, whatever the umask, and nothing else is left', async () => {
  const umask = process.umask(0)
  try {
    const path = join(dir, 'new', 'pilot.sock')
    await listenAt(server(), path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal(statSync(join(dir, 'new')).mode & 0o777, 0o700)
    assert.deepEqual(readdirSync(join(dir, 'new')), ['pilot.sock'])
    const socket = connect(path)
    const [said] = (await new Promise((resolve) => socket.once('data', (...args) => resolve(args)))) as [Buffer]
    assert.equal(String(said), 'here')
  } finally {
    process.umask(umask)
  }
})

test('what is alive, or no socket, stays; what is dead is replaced', async () => {
  const path = join(dir, 'pilot.sock')
  const first = server()
  await listenAt(first, path)
  assert.equal(await isFree(path), false)
  await assert.rejects(listenAt(server(), path), (error) => error instanceof PilotError && error.code === 'CONFLICT')
  const file = join(dir, 'file')
  writeFileSync(file, 'precious')
  await assert.rejects(listenAt(server(), file), (error) => error instanceof PilotError && error.code === 'CONFLICT')
  assert.equal(readFileSync(file, 'utf8'), 'precious')
  await new Promise((resolve) => servers.shift()!.close(resolve)) // its path was another, so the socket stays, dead
  assert.equal(await isFree(path), true)
  await listenAt(server(), path)
  assert.equal(await isFree(path), false)
})

test('only our own socket is removed', async () => {
  const path = join(dir, 'pilot.sock')
  await listenAt(server(), path)
  const inode = await inodeOf(path)
  renameSync(path, join(dir, 'moved'))
  writeFileSync(path, 'of someone else')
  await removeSocket(path, inode)
  assert.equal(readFileSync(path, 'utf8'), 'of someone else')
  await removeSocket(join(dir, 'moved'), inode)
  assert.deepEqual(readdirSync(dir), ['pilot.sock'])
})

test('drivers look into the runtime folder of the user, then into /tmp', () => {
  assert.deepEqual(usualPlaces('/run/user/1000'), ['/run/user/1000/pilot.sock', '/tmp/pilot.sock'])
  assert.deepEqual(usualPlaces(undefined), ['/tmp/pilot.sock'])
  assert.deepEqual(usualPlaces(''), ['/tmp/pilot.sock'])
})

test('a path that is too long for a socket is refused with the limit', async () => {
  const path = join(dir, 'x'.repeat(100), 'pilot.sock')
  await assert.rejects(listenAt(server(), path), /at most \d+ bytes/)
})
