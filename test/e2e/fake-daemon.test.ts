/**
 * The fake daemon answers as a real one did: the clients recorded in ipc-transcript.json are replayed against it and
 * its answers compared byte by byte, except for random values (connection ids, ports, values in JSON).
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { toHex } from '../../src/base/bytes.ts'
import {
  IpcFrameReader,
  decodeIpcMessage,
  decodeIpcRequest,
  encodeIpcFrame,
  encodeIpcMessage,
  encodeIpcRequest,
} from '../../src/wire/ipc-messages.ts'
import type { IpcMessage } from '../../src/wire/ipc-messages.ts'
import { hex, loadVectors } from '../vectors/load.ts'
import { eventually } from './harness.ts'
import type { Stage } from './harness.ts'
import { fakeDaemon, twoNodes } from './two-nodes.ts'

interface Vector {
  readonly from?: 'client' | 'daemon'
  readonly client?: string
  readonly message?: string
  readonly message_header?: string
  readonly bytes_on_socket?: string
  readonly action?: string
  readonly command?: string
}

const { conversations } = loadVectors<{
  readonly conversations: readonly { readonly name: string; readonly messages: readonly Vector[] }[]
}>('ipc-transcript')
/** The recordings that need no reference registry: names, visibility, tags and networks are the registry's wording. */
const PLAYED: Readonly<Record<string, number>> = {
  // messages per recording
  'info and health': 6,
  bind: 16,
  'handshake sub-commands': 22,
  'dial, accept, send, receive, close': Infinity,
  'malformed requests': Infinity,
  'oversize message': Infinity,
  'client disconnects': Infinity,
}

let stage: Stage
const sockets: string[] = []
before(async () => {
  const nodes = await twoNodes()
  stage = nodes.stage
  for (const node of [nodes.a, nodes.b]) {
    sockets.push((await fakeDaemon(stage, node)).options.socket)
    await node.listen(7, (incoming) => {
      const stream = incoming.accept()
      stream.on('error', () => {}).pipe(stream)
    })
  }
})
after(async () => stage.close())

for (const { name, messages } of conversations.filter((one) => one.name in PLAYED)) {
  test(`as recorded: ${name}`, async () => {
    const play = new Play()
    let compared = 0
    for (const vector of messages.slice(0, PLAYED[name])) compared += (await play.step(vector)) ? 1 : 0
    assert.ok(compared > 0)
    play.close()
  })
}

class Play {
  readonly #drivers = new Map<string, RawDriver>()
  readonly #ids = new Map<string, number>() // recorded connection and its node → ours

  /** @returns true if an answer was compared. */
  async step(vector: Vector): Promise<boolean> {
    const driver = this.#driver(vector.client ?? 'node 1')
    const node = (vector.client ?? 'node 1').slice(0, 6)
    if (vector.action === 'closes the socket') {
      driver.close()
      return false
    }
    if (vector.bytes_on_socket !== undefined) {
      driver.socket.write(hex(vector.bytes_on_socket))
      await eventually('the daemon closes the socket', () => driver.socket.destroyed || undefined)
      return true
    }
    if (vector.from === undefined) return false
    if (vector.message === undefined) return false // only the length and hash were recorded
    if (vector.from === 'client') {
      driver.socket.write(encodeIpcFrame(this.#withOurIds(node, hex(vector.message))))
      return false
    }
    const expected = decodeIpcMessage(hex(vector.message)) as IpcMessage
    const got = await driver.next(vector.message)
    if ('connection' in got && 'connection' in expected) this.#ids.set(`${node} ${expected.connection}`, got.connection)
    assert.equal(withoutChance(got, got), withoutChance(expected, got))
    return true
  }

  close(): void {
    for (const driver of this.#drivers.values()) driver.close()
  }

  #driver(client: string): RawDriver {
    const known = this.#drivers.get(client)
    if (known !== undefined) return known
    const driver = new RawDriver(sockets[client.startsWith('node 2') ? 1 : 0]!)
    this.#drivers.set(client, driver)
    return driver
  }

  #withOurIds(node: string, message: Uint8Array): Uint8Array {
    const request = decodeIpcRequest(message)
    if (typeof request !== 'object' || !('connection' in request)) return message
    return encodeIpcRequest({
      ...request,
      connection: this.#ids.get(`${node} ${request.connection}`) ?? request.connection,
    })
  }
}

/** Bytes to compare: ids and ephemeral ports are taken as received, JSON is reduced to its keys. */
function withoutChance(message: IpcMessage, got: IpcMessage): string {
  if (message.kind === 'json')
    return `${message.to} ${Object.keys(JSON.parse(message.text) as object)
      .sort()
      .join(' ')}`
  const chance = {
    ...('connection' in got && 'connection' in message && { connection: got.connection }),
    ...(got.kind === 'accept' && { remotePort: got.remotePort }),
    ...(got.kind === 'recv_from' && { sourcePort: got.sourcePort }),
  }
  return toHex(encodeIpcMessage({ ...message, ...chance } as IpcMessage))
}

class RawDriver {
  readonly socket: Socket
  readonly #messages: IpcMessage[] = []

  constructor(path: string) {
    this.socket = connect({ path }).on('error', () => {})
    const reader = new IpcFrameReader()
    this.socket.on('data', (chunk: Uint8Array) => {
      const messages = reader.push(chunk)
      for (const message of messages) this.#messages.push(decodeIpcMessage(message as Uint8Array) as IpcMessage)
    })
  }

  async next(expected: string): Promise<IpcMessage> {
    return await eventually(`an answer as ${expected}`, () => this.#messages.shift(), 5_000)
  }

  close(): void {
    this.socket.destroy()
  }
}
