/** A folder reserved for one process: created if missing, held as long as the process lives. */
import type { Server } from 'node:net'
import { access, constants, lstat, mkdir, open, rmdir, stat, unlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { dirname, join, relative, resolve } from 'node:path'
import { PilotError } from '../../base/errors.ts'

/** Releases the folder. */
export type Release = () => Promise<void>

/** Who wants the folder, for messages. */
export interface Holder {
  readonly what: string // 'the registry'
  readonly other: string // who has it, if taken: 'another rendezvous'
  readonly file: string // name of the lock in the folder
  readonly hint?: string
}

/**
 * Creates the folder (mode 0700, because it holds private keys and data about others) and locks it for this process.
 * The lock is a Unix socket without any traffic: it accepts as long as its process lives, however that ends.
 * @param beforeReplacing lets tests delay a process at the worst moment.
 * @throws PilotError USAGE if it cannot be a folder, CONFLICT if another process has it.
 */
export async function holdFolder(
  directory: string,
  holder: Holder = REGISTRY,
  beforeReplacing: () => Promise<void> = async () => {},
): Promise<Release> {
  const folder = resolve(directory)
  await makeFolder(folder, holder)
  const { path, letGo } = await socketPath(folder, holder.file)
  const server = (await listen(path)) ?? (await replaceDead(path, beforeReplacing))
  if (server === undefined) {
    await letGo()
    throw inUse(folder, holder)
  }
  server.unref()
  return async () => {
    await new Promise<void>((done) => server.close(() => done()))
    await letGo()
  }
}

/** A path short enough for a socket address: relative, or through the open folder if the system has such paths. */
async function socketPath(
  folder: string,
  file: string,
): Promise<{ readonly path: string; readonly letGo: () => Promise<void> }> {
  const lock = join(folder, file)
  const short = relative(process.cwd(), lock)
  const path = Buffer.byteLength(short) < Buffer.byteLength(lock) ? short : lock
  if (Buffer.byteLength(path) + REPLACING.length <= MAX_SOCKET_PATH_BYTES) return { path, letGo: async () => {} }
  if (process.platform !== 'linux')
    throw new PilotError(
      'USAGE',
      `the path of the folder ${folder} is too long for a lock (${MAX_SOCKET_PATH_BYTES} bytes)`,
      { directory: folder },
      undefined,
      'Name a folder with a shorter path: --state-dir or --store.',
    )
  const opened = await open(folder, constants.O_RDONLY)
  return { path: `/proc/self/fd/${opened.fd}/${file}`, letGo: () => opened.close() }
}

/**
 * A process that finds a dead lock may replace it, and two may find the same one. Only the process that created the
 * folder `LOCK.replacing` may unlink, and it checks again first, so no live lock is ever unlinked.
 */
async function replaceDead(path: string, beforeReplacing: () => Promise<void>): Promise<Server | undefined> {
  if (await isAlive(path)) return undefined
  const turn = await takeTurn(`${path}${REPLACING}`)
  if (turn === undefined) return undefined // another process is replacing it right now
  try {
    await beforeReplacing()
    if ((await isAlive(path)) || (await inodeOf(turn.path)) !== turn.inode) return undefined
    await unlink(path).catch(() => undefined)
    return await listen(path)
  } finally {
    if ((await inodeOf(turn.path)) === turn.inode) await rmdir(turn.path).catch(() => undefined)
  }
}

/** Creating a folder is atomic. One left behind by a killed process is removed when it is old. */
async function takeTurn(path: string): Promise<{ readonly path: string; readonly inode: number } | undefined> {
  const found = await lstat(path).catch(() => undefined)
  if (found !== undefined && Date.now() - found.ctimeMs > STALE_TURN_MS) await rmdir(path).catch(() => undefined)
  try {
    await mkdir(path, { mode: 0o700 })
  } catch {
    return undefined
  }
  const inode = await inodeOf(path)
  return inode === undefined ? undefined : { path, inode }
}

/** Also true for anything that is not a socket, which we must not remove. */
async function isAlive(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return false
  return !found.isSocket() || (await answers(path))
}

/** Undefined if something is there. */
async function listen(path: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy())
  const error = await new Promise<NodeJS.ErrnoException | undefined>((done) => {
    server.once('error', done)
    server.listen(path, () => done(undefined))
  })
  if (error?.code === 'EADDRINUSE') return undefined
  if (error !== undefined) throw new PilotError('USAGE', `cannot lock the folder: ${error.message}`, { path }, error)
  server.on('error', () => undefined)
  return server
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}

async function inodeOf(path: string): Promise<number | undefined> {
  return (await lstat(path).catch(() => undefined))?.ino
}

/** Step by step: a recursive mkdir never returns on a file system that answers ENOENT to everything, such as /proc. */
async function makeFolder(folder: string, holder: Holder): Promise<void> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error)
  if (!(found instanceof Error)) {
    if (!found.isDirectory()) throw unusable(folder, holder, 'it is not a folder')
    return await access(folder, constants.R_OK | constants.W_OK | constants.X_OK).catch((error: Error) => {
      throw unusable(folder, holder, error.message, error)
    })
  }
  if (found.code !== 'ENOENT' || dirname(folder) === folder) throw unusable(folder, holder, found.message, found)
  await makeParent(dirname(folder), holder)
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw unusable(folder, holder, error.message, error)
  })
}

/** Parents need not be writable if the next step already exists. */
async function makeParent(folder: string, holder: Holder): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() !== true) await makeFolder(folder, holder)
}

function unusable(folder: string, { what }: Holder, why: string, cause?: unknown): PilotError {
  return new PilotError('USAGE', `cannot keep ${what} in ${folder}: ${why}`, { directory: folder }, cause)
}

function inUse(folder: string, { what, other, hint }: Holder): PilotError {
  return new PilotError(
    'CONFLICT',
    `${other} already keeps ${what} in ${folder}`,
    { directory: folder },
    undefined,
    hint,
  )
}

const REGISTRY: Holder = {
  what: 'the registry',
  other: 'another rendezvous',
  file: 'lock',
  hint: 'Stop the other process, or name another folder with --store.',
}
const MAX_SOCKET_PATH_BYTES = 103 // on macOS; Linux allows a few more
const REPLACING = '.replacing'
/** Replacing takes milliseconds. */
const STALE_TURN_MS = 10_000
