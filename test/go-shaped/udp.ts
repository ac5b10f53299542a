/** A Go-shaped node on a real UDP socket and a real connection to a registry. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import type { Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Endpoint, NodeId } from '../../src/base/types.ts'
import { parseEndpoint } from '../../src/base/types.ts'
import { createIdentity } from '../../src/crypto/identity.ts'
import { RegistryFrameReader, encodeRegistryFrame } from '../../src/wire/registry-messages.ts'
import { GoNode } from './node.ts'
import type { Reply } from './registered.ts'
import { GoRegistration } from './registered.ts'
import type { GoShape, GoStream } from './stream.ts'

export class UdpGoNode {
  readonly node: GoNode
  readonly registration: GoRegistration
  readonly #udp: UdpSocket
  readonly #registry: Socket
  readonly #waiting: Array<(reply: Reply) => void> = []
  #timer: NodeJS.Timeout | undefined
  #heartbeats: NodeJS.Timeout | undefined

  private constructor(udp: UdpSocket, registry: Socket, beacon: Endpoint, shape: GoShape) {
    this.#udp = udp
    this.#registry = registry
    const identity = createIdentity(randomBytes(32))
    this.registration = new GoRegistration(identity, (request, then) => {
      this.#waiting.push(then)
      registry.write(encodeRegistryFrame(request))
    })
    const world = {
      ...this.registration.world,
      beacon,
      send: (bytes: Uint8Array, to: Endpoint) => udp.send(bytes, to.port, to.address),
      random: (length: number) => randomBytes(length),
      unixSeconds: () => Math.floor(Date.now() / 1_000),
    }
    this.node = this.registration.node = new GoNode(identity, world, shape)
    udp.on('message', (bytes, { address, port }) =>
      this.turn((now) => this.node.handleDatagram(now, bytes, { address, port })),
    )
    const reader = new RegistryFrameReader()
    registry.on('data', (chunk) => {
      reader.push(chunk)
      for (let reply = reader.next(); typeof reply === 'object'; reply = reader.next())
        this.turn(() => this.#waiting.shift()?.(reply as Reply))
    })
  }

  /** @param heartbeatMs the April daemon's is 30 s; requests through the registry wait for it. */
  static async start(
    rendezvous: { readonly registry: string; readonly beacon: string },
    hostname: string,
    {
      isPublic = false,
      heartbeatMs = 30_000,
      shape = 'april',
    }: { readonly isPublic?: boolean; readonly heartbeatMs?: number; readonly shape?: GoShape } = {},
  ): Promise<UdpGoNode> {
    const udp = createSocket('udp4')
    udp.bind(0, '127.0.0.1')
    const { address, port } = parseEndpoint(rendezvous.registry)!
    const registry = connect({ host: address, port })
    await Promise.all([once(udp, 'listening'), once(registry, 'connect')])
    const go = new UdpGoNode(udp, registry, parseEndpoint(rendezvous.beacon)!, shape)
    go.node.public = isPublic
    await new Promise<void>((resolve) =>
      go.registration.register({ address: '127.0.0.1', port: udp.address().port }, hostname, resolve),
    )
    go.#heartbeats = setInterval(() => go.registration.heartbeat(), heartbeatMs)
    return go
  }

  get nodeId(): NodeId {
    return this.node.nodeId
  }

  turn<T>(act: (now: number) => T): T {
    const result = act(performance.now())
    this.node.handleTimeout(performance.now())
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.turn(() => {}), Math.max(0, this.node.nextTimeout() - performance.now()))
    return result
  }

  /** Opens a stream and waits until it is open or has failed. */
  async dial(to: NodeId, port: number, timeoutMs = 40_000): Promise<GoStream> {
    const stream = this.turn((now) => this.node.dial(now, to, port))
    await this.until(() => stream.state !== 'SYN_SENT' || stream.failure !== undefined, timeoutMs)
    return stream
  }

  write(stream: GoStream, bytes: Uint8Array): void {
    this.turn((now) => stream.write(now, bytes))
  }

  async until(done: () => boolean, timeoutMs = 20_000): Promise<void> {
    const limit = performance.now() + timeoutMs
    while (!done()) {
      if (performance.now() > limit) throw new Error(`not so within ${timeoutMs} ms: ${done.toString()}`)
      await new Promise((resolve) => {
        setTimeout(resolve, 5)
      })
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
    clearInterval(this.#heartbeats)
    this.#udp.close()
    this.#registry.destroy()
  }
}
