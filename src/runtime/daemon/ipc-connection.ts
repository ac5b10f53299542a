/**
 * One connection to a daemon's Unix socket: requests one after another, pushed messages as they come. The socket is
 * always read: a daemon that cannot write to one client soon stalls for all (ipc.md §1). Above: the links and streams
 * in this folder. Below: wire/ipc-messages.ts and node:net.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { PilotError } from '../../base/errors.ts'
import {
  IpcFrameReader,
  decodeIpcMessage,
  encodeIpcFrame,
  encodeIpcRequest,
  encodeSendHeader,
} from '../../wire/ipc-messages.ts'
import type { IpcMessage, IpcRequest } from '../../wire/ipc-messages.ts'

export interface IpcEvents {
  /** Accept, Recv, CloseOK, RecvFrom. */
  onMessage(message: IpcMessage): void
  /** A Send or SendTo failed: errors carry no id, so these are recognised by their text. */
  onSendError(text: string): void
  /** Called once; everything on this connection is gone. */
  onClose(reason: string): void
}

/** The daemon's error text. */
export class DaemonRefusal extends Error {
  override readonly name = 'DaemonRefusal'
}

interface Waiting {
  readonly request: IpcRequest
  readonly timeoutMs: number
  resolve(message: IpcMessage): void
  reject(error: Error): void
}

export class IpcConnection {
  readonly #socket: Socket
  readonly #events: IpcEvents
  readonly #reader = new IpcFrameReader()
  readonly #queue: Waiting[] = []
  #current: Waiting | undefined
  #timer: NodeJS.Timeout | undefined
  #reason = 'the daemon closed the connection'

  private constructor(socket: Socket, events: IpcEvents) {
    this.#socket = socket
    this.#events = events
    socket.on('data', (chunk: Uint8Array) => this.#onData(chunk))
    socket.on('error', (error) => {
      this.#reason = error.message
    })
    socket.once('close', () => this.#onClose())
  }

  /** @throws PilotError DAEMON_UNREACHABLE. */
  static open(path: string, events: IpcEvents): Promise<IpcConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path })
      const failed = (error: NodeJS.ErrnoException): void => reject(unreachable(path, error))
      socket.once('error', failed)
      socket.once('connect', () => {
        socket.off('error', failed)
        resolve(new IpcConnection(socket, events))
      })
    })
  }

  get closed(): boolean {
    return this.#socket.destroyed
  }
  /** Bytes that the daemon has not read from the socket yet, as far as this process knows. */
  get backlogBytes(): number {
    return this.#socket.writableLength
  }

  /**
   * Sends a request, after all earlier ones. A late answer ends the connection, because it could not be distinguished
   * from the next.
   * @throws DaemonRefusal, PilotError DAEMON_UNREACHABLE.
   */
  request(request: IpcRequest, timeoutMs: number): Promise<IpcMessage> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(new PilotError('DAEMON_UNREACHABLE', this.#reason))
      this.#queue.push({ request, timeoutMs, resolve, reject })
      this.#next()
    })
  }

  /** Sends a message that expects no reply, or whose reply arrives as an event. */
  say(request: IpcRequest): void {
    if (!this.closed) this.#socket.write(encodeIpcFrame(encodeIpcRequest(request)))
  }

  /** `done` when the kernel has the bytes, which until then must not change: that is the daemon's backpressure. */
  send(connection: number, data: Uint8Array, done: (error?: Error | null) => void): void {
    if (this.closed) return done(new PilotError('DAEMON_UNREACHABLE', this.#reason))
    this.#socket.cork()
    this.#socket.write(encodeSendHeader(connection, data.length))
    this.#socket.write(data, done)
    this.#socket.uncork()
  }

  /** Earlier messages are still sent. The daemon then closes its streams and frees its ports. */
  end(): void {
    this.#socket.end()
  }

  destroy(reason = 'closed by us'): void {
    this.#reason = reason
    this.#socket.destroy()
  }

  #next(): void {
    if (this.#current !== undefined) return
    const waiting = this.#queue.shift()
    if (waiting === undefined) return
    this.#current = waiting
    this.#timer = setTimeout(
      () => this.destroy(`no answer from the daemon within ${waiting.timeoutMs} ms`),
      waiting.timeoutMs,
    )
    this.say(waiting.request)
  }

  #onData(chunk: Uint8Array): void {
    const messages = this.#reader.push(chunk)
    if (messages === 'too_long') return this.destroy('the program that answers does not speak the daemon protocol')
    for (const bytes of messages) {
      const message = decodeIpcMessage(bytes)
      if (typeof message === 'object') this.#onMessage(message) // newer daemons may push more than we know
    }
  }

  #onMessage(message: IpcMessage): void {
    const current = this.#current
    if (message.kind === 'error') {
      if (current === undefined || isSendError(message.text)) this.#events.onSendError(message.text)
      else this.#settle(() => current.reject(new DaemonRefusal(message.text)))
    } else if (current !== undefined && answers(message, current.request)) this.#settle(() => current.resolve(message))
    else this.#events.onMessage(message)
  }

  #settle(tell: () => void): void {
    clearTimeout(this.#timer)
    this.#current = undefined
    tell()
    this.#next()
  }

  #onClose(): void {
    clearTimeout(this.#timer)
    const left = this.#current === undefined ? this.#queue : [this.#current, ...this.#queue]
    this.#current = undefined
    for (const { reject } of left.splice(0)) reject(new PilotError('DAEMON_UNREACHABLE', this.#reason))
    this.#queue.length = 0
    this.#events.onClose(this.#reason)
  }
}

/** For connections on which only answers matter; every datagram of the node is pushed to them too. */
export const NO_EVENTS: IpcEvents = { onMessage() {}, onSendError() {}, onClose() {} }

function answers(message: IpcMessage, request: IpcRequest): boolean {
  switch (request.kind) {
    case 'bind':
      return message.kind === 'bind_ok'
    case 'dial':
      return message.kind === 'dial_ok'
    case 'handshake':
      return message.kind === 'json' && message.to === 'handshake'
    case 'query':
      return message.kind === 'json' && message.to === request.query
    default:
      return false
  }
}

/** The texts of a failed Send or SendTo; no other command fails with these. */
function isSendError(text: string): boolean {
  return /^(send(to)?:|connection \d+ not found)/.test(text)
}

function unreachable(path: string, error: NodeJS.ErrnoException): PilotError {
  const why =
    error.code === 'ENOENT'
      ? 'the socket does not exist'
      : error.code === 'ECONNREFUSED'
        ? 'nothing listens there'
        : error.code === 'EACCES'
          ? 'this user may not open it'
          : error.message
  return new PilotError('DAEMON_UNREACHABLE', `the daemon's socket ${path}: ${why}`, { socket: path }, error)
}
