/**
 * The part of the NATS client protocol that is measured, and the responder behind the server: echo, and 64 KB messages.
 */
import { connect } from 'node:net'
import type { Socket, SocketConnectOpts } from 'node:net'
import { BLOCK } from './pump.ts'
import { HIGH_WATER_BYTES, MESSAGE_BYTES } from './protocol.ts'
import type { Target } from './tcp-client.ts'

export interface NatsMessage {
  readonly subject: string
  readonly reply: string
  readonly payload: Buffer
}

/** One connection. Of large messages only the size is kept: `onMessage` then gets an empty payload. */
export class NatsClient {
  readonly #socket: Socket
  onMessage: (message: NatsMessage, bytes: number) => void = () => {}
  #onPong: () => void = () => {}
  #held = Buffer.alloc(0)
  #skip = 0 // bytes of a payload that are still to come
  #current: NatsMessage | undefined
  #size = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
  }

  /** Resolves once the server has answered the first PING. */
  static async open({ host, port }: Target): Promise<NatsClient> {
    const socket = connect({ host, port, noDelay: true, writableHighWaterMark: HIGH_WATER_BYTES } as SocketConnectOpts)
    const client = new NatsClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('the NATS server closed the connection')))
      client.#onPong = resolve
      socket.write('CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"0","protocol":0}\r\nPING\r\n')
    })
    socket.on('error', () => {})
    return client
  }

  subscribe(subject: string, id: number): void {
    this.#socket.write(`SUB ${subject} ${id}\r\n`)
  }

  /** @returns false if the socket is full. */
  publish(subject: string, reply: string, payload: Buffer): boolean {
    this.#socket.cork()
    this.#socket.write(`PUB ${subject} ${reply === '' ? '' : `${reply} `}${payload.length}\r\n`)
    this.#socket.write(payload)
    const goOn = this.#socket.write('\r\n')
    this.#socket.uncork()
    return goOn
  }

  onceDrained(go: () => void): void {
    this.#socket.once('drain', go)
  }

  close(): void {
    this.#socket.end()
  }

  #onData(chunk: Buffer): void {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = EMPTY
    for (;;) {
      if (this.#current !== undefined) {
        if (bytes.length < this.#skip) {
          this.#skip -= bytes.length
          return
        }
        bytes = bytes.subarray(this.#skip)
        this.#tell()
      }
      const end = bytes.indexOf('\r\n')
      if (end < 0) break
      const words = bytes.toString('latin1', 0, end).split(' ')
      const rest = bytes.subarray(end + 2)
      if (words[0] === 'MSG') {
        const size = Number(words.at(-1))
        const isSmall = size < SMALL_BYTES
        if (isSmall && rest.length < size + 2) break // wait for the whole of it
        this.#size = size
        this.#skip = size + 2
        this.#current = {
          subject: words[1]!,
          reply: words.length === 5 ? words[3]! : '',
          payload: isSmall ? rest.subarray(0, size) : EMPTY,
        }
      } else if (words[0] === 'PING') this.#socket.write('PONG\r\n')
      else if (words[0] === 'PONG') this.#onPong()
      else if (words[0] === '-ERR') this.#socket.destroy(new Error(words.join(' ')))
      bytes = rest
    }
    this.#held = Buffer.from(bytes)
  }

  #tell(): void {
    const message = this.#current!
    this.#current = undefined
    this.onMessage(message, this.#size)
  }
}

/** Behind the server: echoes, and sends what is pulled, never more than a window ahead of the receiver (NATS drops slow ones). */
export async function startNatsResponder(target: Target): Promise<Record<string, unknown>> {
  const client = await NatsClient.open(target)
  const acknowledged = new Map<string, (bytes: number) => void>()
  client.onMessage = ({ subject, reply, payload }) => {
    if (subject === ECHO) client.publish(reply, '', payload)
    else if (subject === PULL) acknowledged.set(reply, sender(client, reply, Number(payload.toString())))
    else acknowledged.get(subject.slice(ACK.length + 1))?.(Number(payload.toString()))
  }
  for (const [id, subject] of [ECHO, PULL, `${ACK}.>`].entries()) client.subscribe(subject, id + 1)
  return {}
}

function sender(client: NatsClient, subject: string, bytes: number): (acknowledged: number) => void {
  let [sent, seen, waits] = [0, 0, false]
  const go = (): void => {
    waits = false
    while (sent < bytes && sent - seen < WINDOW_BYTES) {
      const piece = bytes - sent < MESSAGE_BYTES ? BLOCK.subarray(0, bytes - sent) : BLOCK
      sent += piece.length
      if (client.publish(subject, '', piece)) continue
      waits = true
      return client.onceDrained(go)
    }
  }
  go()
  return (acknowledged) => {
    seen = acknowledged
    if (!waits) go()
  }
}

/** One 64 KB-message transfer to us. */
export async function natsPull(client: NatsClient, bytes: number): Promise<void> {
  const inbox = `_INBOX.${Math.random().toString(36).slice(2)}`
  client.subscribe(inbox, 9)
  let [got, told] = [0, 0]
  await new Promise<void>((resolve, reject) => {
    client.onMessage = (_message, size) => {
      got += size
      if (got > bytes) reject(new Error(`${got} of ${bytes} bytes arrived`))
      else if (got === bytes) resolve()
      else if (got - told >= WINDOW_BYTES / 4) client.publish(`${ACK}.${inbox}`, '', Buffer.from(String((told = got))))
    }
    client.publish(PULL, inbox, Buffer.from(String(bytes)))
  })
}

const EMPTY = Buffer.alloc(0)
const SMALL_BYTES = 8_192
const WINDOW_BYTES = 8 * 1_048_576
export const ECHO = 'bench.echo'
const PULL = 'bench.pull'
const ACK = 'bench.ack'
