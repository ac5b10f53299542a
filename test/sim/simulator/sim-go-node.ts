/** A Go-shaped node in the virtual world. */
import type { Endpoint, NodeId } from '../../../src/base/types.ts'
import { createIdentity } from '../../../src/crypto/identity.ts'
import { GoNode } from '../../go-shaped/node.ts'
import { GoRegistration } from '../../go-shaped/registered.ts'
import type { GoShape, GoStream } from '../../go-shaped/stream.ts'
import type { SimOverlay } from './overlay.ts'
import { Random } from './random.ts'
import { EPOCH_MS } from './sim-registry.ts'

export class SimGoNode {
  readonly node: GoNode
  readonly registration: GoRegistration
  readonly endpoint: Endpoint
  readonly #overlay: SimOverlay
  #wakeAt = Infinity

  constructor(overlay: SimOverlay, index: number, hostname: string, isPublic = false, shape: GoShape = 'april') {
    this.#overlay = overlay
    this.endpoint = { address: `192.0.2.${index}`, port: 4_000 }
    const random = new Random(index + 1)
    const identity = createIdentity(random.bytes(32))
    this.registration = new GoRegistration(identity, (request, then) => {
      const { latencyMs } = overlay.registry
      overlay.world.after(2 * latencyMs, () =>
        this.turn(() =>
          then(overlay.registry.handle(this.endpoint.address, request) as Readonly<Record<string, unknown>>),
        ),
      )
    })
    const world = {
      ...this.registration.world,
      beacon: overlay.beaconEndpoint,
      send: (bytes: Uint8Array, to: Endpoint) => overlay.network.send(this.endpoint, to, bytes),
      random: (length: number) => random.bytes(length),
      unixSeconds: () => Math.floor((EPOCH_MS + overlay.world.nowMs) / 1_000),
    }
    this.node = this.registration.node = new GoNode(identity, world, shape)
    this.node.public = isPublic
    overlay.network.attach(this.endpoint, (bytes, source) =>
      this.turn((now) => this.node.handleDatagram(now, bytes, source)),
    )
    this.registration.register(this.endpoint, hostname, () => {})
    this.#beat()
  }

  get nodeId(): NodeId {
    return this.node.nodeId
  }

  turn(act: (now: number) => void): void {
    act(this.#overlay.world.nowMs)
    this.node.handleTimeout(this.#overlay.world.nowMs)
    const at = this.node.nextTimeout()
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#overlay.world.at(at, () => {
      this.#wakeAt = Infinity
      this.turn(() => {})
    })
  }

  dial(to: NodeId, port: number): GoStream {
    let stream: GoStream | undefined
    this.turn((now) => {
      stream = this.node.dial(now, to, port)
    })
    return stream!
  }

  write(stream: GoStream, bytes: Uint8Array): void {
    this.turn((now) => stream.write(now, bytes))
  }

  #beat(): void {
    this.#overlay.world.after(30_000, () => {
      this.turn(() => this.registration.heartbeat())
      this.#beat()
    })
  }
}
