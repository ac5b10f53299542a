/** Connections to a registry that ask and count, without any of our node's rules. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { RegistryFrameReader, encodeRegistryFrame } from '../../src/wire/registry-messages.ts'

export class Client {
  readonly #socket: Socket
  readonly #waiting: { readonly sentAt: number; readonly done: (ms: number, reply: object) => void }[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    const reader = new RegistryFrameReader()
    socket.on('data', (chunk: Uint8Array) => {
      reader.push(chunk)
      for (let reply = reader.next(); typeof reply === 'object'; reply = reader.next()) {
        const { sentAt, done } = this.#waiting.shift()!
        done(performance.now() - sentAt, reply)
      }
    })
    socket.on('error', () => {})
  }

  static async open(port: number): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new Client(socket)
  }

  /** @returns ms until the answer. @throws Error for a refusal. */
  ask(frame: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        sentAt: performance.now(),
        done: (ms, reply) =>
          (reply as { type?: string }).type === 'error' ? reject(new Error(JSON.stringify(reply))) : resolve(ms),
      })
      this.#socket.write(frame)
    })
  }

  close(): void {
    this.#socket.destroy()
  }
}

export function frameOf(request: object): Uint8Array {
  return encodeRegistryFrame(request)
}

/** Asks all of `frames`, `inFlight` at a time on each connection. */
export async function askAll(
  clients: readonly Client[],
  frames: readonly Uint8Array[],
  inFlight: number,
): Promise<void> {
  let next = 0
  const worker = async (client: Client): Promise<void> => {
    while (next < frames.length) await client.ask(frames[next++]!)
  }
  await Promise.all(clients.flatMap((client) => Array.from({ length: inFlight }, () => worker(client))))
}
