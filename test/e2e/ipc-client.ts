/** A driver of a pilot daemon, message by message: what the programs of others do on the driver socket. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { IpcFrameReader, decodeIpcMessage, encodeIpcFrame, encodeIpcRequest } from '../../src/wire/ipc-messages.ts'
import type { IpcMessage, IpcQuery, IpcRequest } from '../../src/wire/ipc-messages.ts'
import { eventually } from './harness.ts'
import type { Stage } from './harness.ts'

type Of<K extends IpcMessage['kind']> = Extract<IpcMessage, { kind: K }>

export class IpcClient {
  /** Everything that came and was not taken. */
  readonly heard: IpcMessage[] = []
  readonly socket: Socket
  closed = false
  readonly #reader = new IpcFrameReader()

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Uint8Array) => {
      const messages = this.#reader.push(chunk)
      if (messages === 'too_long') throw new Error('a message that is too long')
      for (const bytes of messages) {
        const message = decodeIpcMessage(bytes)
        if (typeof message === 'string') throw new Error(`not a message of a daemon: ${message}`)
        this.heard.push(message)
      }
    })
    socket
      .on('error', () => {})
      .once('close', () => {
        this.closed = true
      })
  }

  static async open(stage: Stage, path: string): Promise<IpcClient> {
    const socket = connect({ path })
    await once(socket, 'connect')
    const client = new IpcClient(socket)
    stage.defer(async () => socket.destroy())
    return client
  }

  /** In one write, so that nothing comes between them. */
  say(...requests: readonly IpcRequest[]): void {
    this.socket.write(Buffer.concat(requests.map((request) => encodeIpcFrame(encodeIpcRequest(request)))))
  }

  /** The first message of this kind that fits, taken off what was heard. */
  async take<K extends IpcMessage['kind']>(kind: K, fits: (message: Of<K>) => boolean = () => true): Promise<Of<K>> {
    const index = await eventually(`${kind} from the driver socket`, () => {
      const found = this.heard.findIndex((message) => message.kind === kind && fits(message as Of<K>))
      return found < 0 ? undefined : found
    })
    return this.heard.splice(index, 1)[0] as Of<K>
  }

  async ask(query: IpcQuery, body: string | Uint8Array = ''): Promise<Record<string, unknown>> {
    this.say({ kind: 'query', query, body: Buffer.from(body) })
    const { text } = await this.take('json', ({ to }) => to === query)
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
  }

  async dial(node: number, port: number): Promise<number> {
    this.say({ kind: 'dial', address: { network: 0, node }, port })
    return (await this.take('dial_ok')).connection
  }

  async bind(port: number): Promise<void> {
    this.say({ kind: 'bind', port })
    await this.take('bind_ok')
  }

  /** The bytes of a stream, until there are so many. */
  async receive(connection: number, bytes: number): Promise<Buffer> {
    const parts: Uint8Array[] = []
    for (let have = 0; have < bytes;) {
      const { data } = await this.take('recv', (message) => message.connection === connection)
      parts.push(data)
      have += data.length
    }
    return Buffer.concat(parts)
  }
}
