/**
 * The admin socket: HTTP on a Unix socket of mode 0600. Anyone who can open the file can do everything the gateway can,
 * so the file is private from the start, not only after a chmod.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { lstat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PilotError, asPilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { MAX_SOCKET_PATH_BYTES } from '../gateway/model/listen.ts'
import type { AdminControl } from '../gateway/control.ts'
import type { OverlayStream } from '../runtime/overlay.ts'
import { makeFolder } from '../runtime/files/folder.ts'
import { carry } from './stream-route.ts'
import { MAX_BODY_BYTES, answer, failure, type AdminResponse } from './routes.ts'

export interface AdminOptions {
  readonly socketPath: string
  readonly control: AdminControl
  readonly log: Logger
  /** Opens a stream to `PEER:PORT` for a program that asks for one. */
  readonly dial?: ((target: string, signal: AbortSignal) => Promise<OverlayStream>) | undefined
}

/**
 * Listens; the folder is created (0700) if absent, and the socket of a dead process is replaced.
 * @throws PilotError CONFLICT if a live process answers there or the path is not a socket, USAGE if it cannot be one.
 */
export async function startAdmin({ socketPath, control, log, dial }: AdminOptions): Promise<{ stop(): Promise<void> }> {
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    throw new PilotError(
      'USAGE',
      `admin socket ${socketPath}: a Unix socket path has at most ${MAX_SOCKET_PATH_BYTES} bytes`,
      { socketPath },
    )
  }
  await makeRoom(socketPath)
  const server = createServer((request, response) => void handle(request, response, { control, log }))
  if (dial !== undefined) server.on('upgrade', (request, socket) => void carry(request, socket as Socket, dial, log))
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  server.maxConnections = MAX_CONNECTIONS
  await listenPrivately(server, socketPath)
  server.on('error', (error) => log.error({ err: error.message }, 'admin socket failed'))
  log.debug({ socketPath }, 'admin socket open')
  let stopped: Promise<void> | undefined
  return { stop: () => (stopped ??= stop(server)) }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  { control, log }: Pick<AdminOptions, 'control' | 'log'>,
): Promise<void> {
  const method = request.method ?? ''
  const path = request.url ?? ''
  try {
    const body = await readBody(request)
    const result =
      body === undefined
        ? failure(new PilotError('USAGE', `the request body has more than ${MAX_BODY_BYTES} bytes`), 413)
        : await answer(control, { method, path, body })
    log.debug({ method, path, status: result.status }, 'admin request')
    send(response, result, body === undefined)
  } catch (error) {
    log.debug({ method, path, err: asPilotError(error).message }, 'admin request was cut short')
    response.destroy()
  }
}

/** Undefined if the body is too long; the rest is not read. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MAX_BODY_BYTES) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function send(response: ServerResponse, { status, body, allow }: AdminResponse, last: boolean): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...(allow === undefined ? {} : { allow }),
    ...(last ? { connection: 'close' } : {}),
  })
  response.end(text)
}

/**
 * Creates the folder, and removes what a killed gateway left behind. `up` calls this before it starts anything: a
 * second gateway with the same identity would divert the first one's traffic before noticing.
 * @throws PilotError like `startAdmin`.
 */
export async function makeRoom(socketPath: string): Promise<void> {
  try {
    await makeFolder(dirname(socketPath))
  } catch (error) {
    throw unusable(socketPath, error)
  }
  const found = await lstat(socketPath).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket())
    throw new PilotError(
      'CONFLICT',
      `admin socket ${socketPath}: a file that is not a socket is in the way; it was left untouched`,
      { socketPath },
      undefined,
      'Remove that file, or choose another path with --admin.',
    )
  if (await isAlive(socketPath))
    throw new PilotError(
      'CONFLICT',
      `admin socket ${socketPath}: another gateway is running and answers there`,
      { socketPath },
      undefined,
      'To run a second gateway on this machine, give it its own state folder: --state-dir DIR.',
    )
  await unlink(socketPath).catch((error: unknown) => {
    throw unusable(socketPath, error)
  })
}

/** Only a refused connection proves that nothing listens. */
function isAlive(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.setTimeout(PROBE_TIMEOUT_MS, () => done(true)) // accepted, or a full backlog: something is listening
    socket.on('connect', () => done(true))
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'))
    const done = (alive: boolean): void => {
      socket.destroy()
      resolve(alive)
    }
  })
}

function listenPrivately(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(unusable(socketPath, error)))
    server.once('listening', () => {
      server.removeAllListeners('error')
      resolve()
    })
    const before = process.umask(0o177)
    try {
      server.listen(socketPath) // binds before it returns, so the file is created under this mask
    } finally {
      process.umask(before)
    }
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve()) // also removes the socket file
    server.closeIdleConnections()
    // Requests made just before the end still get an answer, but do not delay it.
    setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS).unref()
  })
}

function unusable(socketPath: string, error: unknown): PilotError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
  if (code === 'EEXIST' || code === 'ENOTDIR')
    return new PilotError(
      'USAGE',
      `admin socket ${socketPath}: ${dirname(socketPath)} is not a folder`,
      { socketPath },
      error,
      'Name a folder with --state-dir, or another path with --admin.',
    )
  if (code === 'EADDRINUSE')
    return new PilotError(
      'CONFLICT',
      `admin socket ${socketPath}: another gateway has just taken it`,
      { socketPath },
      error,
      'To run a second gateway on this machine, give it its own state folder: --state-dir DIR.',
    )
  return new PilotError(
    'USAGE',
    `admin socket ${socketPath}: cannot be created (${code})`,
    { socketPath },
    error,
    'Name a folder that this user can write to with --state-dir, or another path for the socket with --admin.',
  )
}

const REQUEST_TIMEOUT_MS = 10_000 // to receive a complete request, not to answer it
const PROBE_TIMEOUT_MS = 1_000
const STOP_GRACE_MS = 250
const MAX_CONNECTIONS = 64 // more wait in the backlog of the socket
