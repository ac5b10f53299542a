/**
 * Sits between a gateway and its registry: passes everything, except that answers about one name give it to another
 * node.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { encodeRegistryFrame, RegistryFrameReader } from '../../src/wire/registry-messages.ts'
import { address } from './harness.ts'
import type { Stage } from './harness.ts'

export class LyingRegistry {
  readonly endpoint: string
  #lie: { readonly hostname: string; readonly node: number; readonly hidden: number } | undefined

  private constructor(port: number) {
    this.endpoint = `127.0.0.1:${port}`
  }

  static async before(stage: Stage, registry: string): Promise<LyingRegistry> {
    const sockets = new Set<Socket>()
    const server = createServer((near) => {
      const far = connect(address(registry))
      for (const socket of [near, far]) {
        sockets.add(socket)
        socket.on('error', () => {}).on('close', () => (near.destroy(), far.destroy()))
      }
      lying.#carry(near, far)
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const lying = new LyingRegistry((server.address() as AddressInfo).port)
    stage.defer(async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    return lying
  }

  /** From now on `hostname` belongs to `node`, and the node `hidden`, which had it before, is unknown. */
  give(hostname: string, node: number, hidden: number): void {
    this.#lie = { hostname, node, hidden }
  }

  /** Answers come in the order of the requests. */
  #carry(near: Socket, far: Socket): void {
    const asked: Readonly<Record<string, unknown>>[] = []
    frames(near, (request) => {
      asked.push(request as Record<string, unknown>)
      far.write(encodeRegistryFrame(request))
    })
    frames(far, (reply) => near.write(encodeRegistryFrame(this.#answer(asked.shift() ?? {}, reply))))
  }

  #answer({ type, hostname, node_id }: Readonly<Record<string, unknown>>, reply: object): object {
    const lie = this.#lie
    if (lie === undefined) return reply
    if (type === 'resolve_hostname' && hostname === lie.hostname)
      return { type: 'resolve_hostname_ok', hostname, node_id: lie.node, address: `0:0000.0000.000${lie.node}` }
    if (type === 'resolve' && node_id === lie.hidden) return { type: 'error', error: 'node not found' }
    return reply
  }
}

function frames(socket: Socket, onFrame: (message: object) => void): void {
  const reader = new RegistryFrameReader()
  socket.on('data', (bytes: Uint8Array) => {
    reader.push(bytes)
    for (let frame = reader.next(); typeof frame === 'object'; frame = reader.next()) onFrame(frame)
  })
}
