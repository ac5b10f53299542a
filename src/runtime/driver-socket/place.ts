/**
 * Where the driver socket is, and that it is private: mode 0600 from the start, in a folder of ours or one that the system
 * guards. A dead socket is replaced, a live one never.
 */
import { chmod, link, lstat, mkdtemp, rename, rm, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Server } from 'node:net'
import { dirname, join } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import { makeFolder } from '../files/folder.ts'

/** The places where drivers look, as far as they exist; the first is the user's own. */
export function usualPlaces(runtimeDir: string | undefined, temporary = '/tmp'): string[] {
  const own = runtimeDir === undefined || runtimeDir === '' ? [] : [join(runtimeDir, SOCKET_NAME)]
  return [...own, join(temporary, SOCKET_NAME)]
}

/** Whether nothing is there, or only what a process that died has left. */
export async function isFree(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  return found === undefined || (found.isSocket() && !(await isAlive(path)))
}

/**
 * Listens. The socket is made in a folder of its own, mode 0700, and then moved to its place, so that it is never open to
 * others, whatever the umask.
 * @throws PilotError CONFLICT if something answers there or is in the way, USAGE if it cannot be a socket.
 */
export async function listenAt(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new PilotError(
      'USAGE',
      `driver socket ${path}: a Unix socket path has at most ${MAX_PATH_BYTES} bytes here`,
      {
        socketPath: path,
      },
    )
  try {
    await makeFolder(dirname(path))
  } catch (error) {
    throw unusable(path, error)
  }
  if (!(await isFree(path))) throw inTheWay(path)
  const folder = await mkdtemp(join(dirname(path), '.pg-')).catch((error: unknown) => {
    throw unusable(path, error)
  })
  try {
    const made = join(folder, 's')
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: made, backlog: BACKLOG }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    await chmod(made, 0o600)
    await unlink(path).catch(() => {}) // of a process that has died
    await link(made, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw inTheWay(path) // another process was faster
      await rename(made, path) // a file system without hard links
    })
  } catch (error) {
    server.close()
    throw unusable(path, error)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Ours, unless another process has replaced it. */
export async function removeSocket(path: string, inode: number): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found?.ino === inode) await unlink(path).catch(() => {})
}

export async function inodeOf(path: string): Promise<number> {
  return (await lstat(path)).ino
}

/** Only a refused connection proves that nothing listens. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const done = (alive: boolean): void => {
      socket.destroy()
      resolve(alive)
    }
    socket.setTimeout(PROBE_MS, () => done(true)) // a full backlog: something listens
    socket.once('connect', () => done(true))
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'))
  })
}

function inTheWay(path: string): PilotError {
  return new PilotError(
    'CONFLICT',
    `driver socket ${path}: a daemon answers there, or a file that is not a socket is in the way; it was left untouched`,
    { socketPath: path },
    undefined,
    'Stop that daemon, or choose another path with --driver-socket.',
  )
}

function unusable(path: string, error: unknown): PilotError {
  if (error instanceof PilotError) return error
  return new PilotError('USAGE', `driver socket ${path}: ${(error as Error).message}`, { socketPath: path }, error)
}

const SOCKET_NAME = 'pilot.sock'
const PROBE_MS = 1_000
/** Connections that wait to be accepted: all clients may come at once. */
const BACKLOG = 1_024
/** Of a Unix socket (107), less the folder in which it is made. */
const MAX_PATH_BYTES = 107 - '.pg-XXXXXX/s'.length + SOCKET_NAME.length
