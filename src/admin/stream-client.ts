/** A stream to a peer through the running gateway: the other end of stream-route.ts. */
import { request } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { PilotError } from '../base/errors.ts'
import { readAnswer, unreachable } from './client.ts'
import { PART_HEAD_BYTES, PART_KINDS, STREAM_PROTOCOL } from './stream-protocol.ts'

/**
 * @param target `PEER:PORT`. Resolves once the peer has accepted.
 * @throws PilotError: like `dial`, and NOT_RUNNING.
 */
export function openStream(socketPath: string, target: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      path: `/v1/stream?to=${encodeURIComponent(target)}`,
      headers: { connection: 'Upgrade', upgrade: STREAM_PROTOCOL },
      agent: false,
    })
    call.on('upgrade', (_, socket, head) => {
      if (head.length > 0) socket.unshift(head)
      resolve(new CarriedStream(socket as Socket))
    })
    call.on('response', (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', (error) => reject(unreachable(socketPath, error)))
      response.on('end', () => {
        try {
          readAnswer(response.statusCode ?? 0, Buffer.concat(parts).toString('utf8'))
        } catch (error) {
          reject(error as Error)
        }
      })
    })
    call.on('error', (error) => reject(unreachable(socketPath, error)))
    call.end()
  })
}

/** The program's end. An error: PEER_RESET if the stream broke, NOT_RUNNING if the gateway went away. */
class CarriedStream extends Duplex {
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)
  #isOver = false

  constructor(socket: Socket) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    socket.allowHalfOpen = true
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => {
      if (!this.#isOver) this.destroy(new PilotError('NOT_RUNNING', 'the gateway stopped while the stream was open'))
    })
  }

  #take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= PART_HEAD_BYTES) {
      const length = this.#rest.readUInt32BE(1)
      if (this.#rest.length < PART_HEAD_BYTES + length) return
      const bytes = this.#rest.subarray(PART_HEAD_BYTES, PART_HEAD_BYTES + length)
      const kind = PART_KINDS[this.#rest[0]!]
      this.#rest = this.#rest.subarray(PART_HEAD_BYTES + length)
      if (kind === 'data') {
        if (!this.push(bytes)) this.#socket.pause()
      } else {
        this.#isOver = true
        if (kind === 'end') this.push(null)
        else this.destroy(new PilotError('PEER_RESET', `the stream broke: ${bytes.toString()}`))
      }
    }
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#socket.write(chunk, () => done()) // an error is followed by 'close'
  }

  override _final(done: () => void): void {
    this.#socket.end()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#isOver = true
    this.#socket.destroy()
    done(error)
  }
}
