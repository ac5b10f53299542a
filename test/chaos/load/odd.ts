/** A service that misbehaves on command: the backend rows. */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'

export type OddMode = 'echo' | 'down' | 'reset' | 'slow' | 'never reads'

export class OddService {
  readonly #port: number
  readonly #sockets = new Set<Socket>()
  #mode: OddMode = 'echo'
  #server: Server | undefined

  constructor(port: number) {
    this.#port = port
    this.#listen()
  }

  get mode(): OddMode {
    return this.#mode
  }
  set mode(mode: OddMode) {
    this.#mode = mode
    for (const socket of this.#sockets) socket.resetAndDestroy()
    if (mode === 'down') {
      this.#server?.close()
      this.#server = undefined
    } else this.#listen()
  }

  #listen(): void {
    this.#server ??= createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onSocket(socket)).listen({
      port: this.#port,
      host: '127.0.0.1',
      backlog: 4_096,
    })
  }

  #onSocket(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
    if (this.#mode === 'never reads') socket.pause()
    else if (this.#mode === 'reset') socket.once('data', () => socket.resetAndDestroy())
    else if (this.#mode === 'slow') socket.once('data', (bytes) => setTimeout(() => socket.end(bytes), SLOW_MS))
    else socket.pipe(socket)
  }
}

export const SLOW_MS = 5_000
