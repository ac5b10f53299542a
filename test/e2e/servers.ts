/**
 * Small TCP servers and clients, on loopback and free ports. They return what they saw: bytes, digest, how it ended.
 * Every socket allows half-open connections: tests often check which side ends first.
 */
import { createCipheriv, createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { format } from './harness.ts'
import type { Address, Stage } from './harness.ts'
import { WAIT_MS } from './program.ts'

/** How a socket ended, as its owner sees it. */
export type Ending = 'end' | 'reset'

export interface Service {
  readonly address: string // host:port, for --expose
  readonly sockets: ReadonlySet<Socket> // open now
  /** Connections so far. */
  readonly accepted: number
  /** The next connection, from now on. */
  next(): Promise<Socket>
  stop(): Promise<void>
}

/** Listens until the stage closes and calls `serve` for each connection. */
export async function serve(stage: Stage, onSocket: (socket: Socket) => void): Promise<Service> {
  const sockets = new Set<Socket>()
  let waiting: ((socket: Socket) => void)[] = []
  let accepted = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {}) // interested tests listen too
    onSocket(socket)
    for (const tell of waiting) tell(socket)
    waiting = []
  })
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1_024 })
  await listening(server)
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    if (server.listening)
      await new Promise((resolve) => {
        server.close(resolve)
      })
  }
  stage.defer(stop)
  const next = (): Promise<Socket> =>
    within(
      'a connection to the service',
      new Promise((resolve) => {
        waiting.push(resolve)
      }),
    )
  return {
    address: addressOf(server),
    sockets,
    get accepted() {
      return accepted
    },
    next,
    stop,
  }
}

/** Echoes. */
export async function echo(stage: Stage): Promise<Service> {
  return await serve(stage, (socket) => void socket.pipe(socket))
}

/** Answers with the count and digest of what it received, and only after its end. */
export async function lateAnswer(stage: Stage): Promise<Service> {
  return await serve(stage, (socket) => {
    const seen = new Sink(socket)
    socket.on('end', () => socket.end(seen.summary))
  })
}

/** Accepts connections and leaves everything else to the test. */
export async function passive(stage: Stage): Promise<Service> {
  return await serve(stage, (socket) => void socket.pause())
}

/** A port on which nothing listens: it was free a moment ago. */
export async function refusing(): Promise<string> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 })
  await listening(server)
  const address = addressOf(server)
  await new Promise((resolve) => {
    server.close(resolve)
  })
  return address
}

/** Counts and digests what a socket delivers. */
export class Sink {
  readonly #hash: Hash = createHash('sha256')
  bytes = 0

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      this.#hash.update(chunk)
    })
  }

  /** Once, at the end. */
  get summary(): string {
    return `${this.bytes} ${this.#hash.digest('hex')}`
  }
}

/** What `Sink.summary` returns for these bytes. */
export function summaryOf(bytes: Uint8Array): string {
  return `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`
}

/** Pseudo-random bytes, the same for the same seed: a key stream. */
export function noise(length: number, seed = 1): Buffer {
  const key = Buffer.alloc(16, seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Connects, and resolves once connected; a connection accepted and reset before that is an error. */
export async function open(stage: Stage, to: Address): Promise<Socket> {
  const socket = connect({ ...to, allowHalfOpen: true, noDelay: true })
  stage.defer(async () => {
    socket.destroy()
  })
  await within(
    `a connection to ${format(to)}`,
    new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    }),
  )
  socket.on('error', () => {})
  return socket
}

/**
 * Resolves with how the connection ended for the reader: FIN or reset. The bytes are ignored. libuv reports an end
 * instead of an error when a reset directly follows data; then the kernel no longer knows a peer, whereas after a true
 * end it does while our own side is open. So `remoteAddress` must not be read before this.
 */
export async function ending(socket: Socket, timeoutMs = WAIT_MS): Promise<Ending> {
  socket.resume()
  return await within(
    'the end of the connection',
    new Promise((resolve, reject) => {
      const onEnd = (): void => resolve(!socket.writableEnded && socket.remoteFamily === undefined ? 'reset' : 'end')
      const onError = (error: Error): void => {
        try {
          resolve(endingOf(error))
        } catch {
          reject(error)
        }
      }
      if (socket.errored !== null) onError(socket.errored)
      else if (socket.readableEnded) onEnd()
      socket.once('end', onEnd)
      socket.once('error', onError)
    }),
    timeoutMs,
  )
}

/** Sends everything, ends its side, and resolves with everything that came back. */
export async function talk(stage: Stage, to: Address, bytes: Uint8Array, timeoutMs = WAIT_MS): Promise<Buffer> {
  const socket = await open(stage, to)
  const reply = everything(socket, timeoutMs)
  socket.end(bytes)
  return await reply
}

/** All bytes until the end. @throws if the end is not clean. */
export async function everything(socket: Socket, timeoutMs = WAIT_MS): Promise<Buffer> {
  const parts: Buffer[] = []
  return await within(
    'everything up to the end',
    new Promise((resolve, reject) => {
      socket.on('data', (part: Buffer) => parts.push(part))
      socket.once('end', () => resolve(Buffer.concat(parts)))
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('closed before the end')))
    }),
    timeoutMs,
  )
}

/** The next bytes, at least one. */
export async function some(socket: Socket, timeoutMs = WAIT_MS): Promise<Buffer> {
  return await within(
    'some bytes',
    new Promise((resolve, reject) => {
      socket.once('data', resolve)
      socket.once('error', reject)
      socket.once('end', () => reject(new Error('ended')))
      socket.resume()
    }),
    timeoutMs,
  )
}

/** A mapping's client that is about to be reset: how it ended, and after how long. */
export async function fate(
  stage: Stage,
  to: Address,
  timeoutMs = WAIT_MS,
): Promise<{ readonly ending: Ending; readonly ms: number }> {
  const began = performance.now()
  const socket = await open(stage, to).catch((error: unknown) => {
    // reset before 'connect' was reported
    endingOf(error)
  })
  const how = socket === undefined ? 'reset' : await ending(socket, timeoutMs)
  return { ending: how, ms: performance.now() - began }
}

/** Fails if it takes too long, naming the wait. */
export async function within<T>(what: string, promise: Promise<T>, timeoutMs = WAIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function endingOf(error: unknown): Ending {
  if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return 'reset'
  throw error
}

async function listening(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', reject)
  })
}

function addressOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo
  return `${address}:${port}`
}
