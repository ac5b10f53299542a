/** The commands that only drivers give, with promises. Above: ../driver-socket/. Below: proto/node/driver-commands.ts. */
import { toBase64, utf8 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { Identity } from '../../crypto/identity.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import type { RegistryApp } from '../../proto/node/views.ts'
import { EPHEMERAL_COUNT, EPHEMERAL_FIRST } from '../../proto/node/constants.ts'
import type { Incoming, OverlayStream } from '../overlay.ts'
import type { DatagramTaker, ForDrivers } from './for-drivers.ts'
import type { Turn } from './node-trust.ts'
import { dialSelf } from './self-stream.ts'

/** The registry's own words. */
export class RegistryRefusal extends Error {
  override readonly name = 'RegistryRefusal'
}

type ListenerOf = (port: number) => ((incoming: Incoming) => void) | undefined

export class DriverDesk implements ForDrivers {
  /** Of datagrams to ports that nothing else has opened. */
  onDatagram: DatagramTaker | undefined
  readonly #core: OverlayCore
  readonly #turn: Turn
  readonly #identity: Identity
  readonly #listenerOf: ListenerOf
  #selfPort = 0

  constructor(core: OverlayCore, turn: Turn, identity: Identity, listenerOf: ListenerOf) {
    this.#core = core
    this.#turn = turn
    this.#identity = identity
    this.#listenerOf = listenerOf
  }

  async ask(request: object, challenge?: string): Promise<Record<string, unknown>> {
    return await new Promise((resolve, reject) => {
      const app = new RegistryWaiter(resolve, reject)
      this.#turn((now) => this.#core.drivers.askRegistry(now, request, challenge, app))
    })
  }

  async dialSelf(name: string, port: number, signal: AbortSignal): Promise<OverlayStream> {
    this.#selfPort = (this.#selfPort + 1) % EPHEMERAL_COUNT
    const node = this.#core.nodeId ?? 0
    const localPort = EPHEMERAL_FIRST + this.#selfPort
    return await dialSelf({ node, name, localPort, remotePort: port }, this.#listenerOf(port), signal)
  }

  sign(text: string): string {
    return toBase64(this.#identity.sign(utf8(text)))
  }

  rename(hostname: string | undefined): void {
    this.#turn(() => this.#core.drivers.rename(hostname))
  }
  setPublic(isPublic: boolean): void {
    this.#turn(() => this.#core.drivers.setPublic(isPublic))
  }
  takeDatagrams(taker: DatagramTaker | undefined): void {
    this.onDatagram = taker
    this.#turn(() => this.#core.drivers.takeAllDatagrams(taker !== undefined))
  }
  preferDirect(node: NodeId): ReturnType<ForDrivers['preferDirect']> {
    return this.#turn((now) => this.#core.drivers.preferDirect(now, node))
  }
}

class RegistryWaiter implements RegistryApp {
  readonly #resolve: (reply: Record<string, unknown>) => void
  readonly #reject: (error: Error) => void

  constructor(resolve: (reply: Record<string, unknown>) => void, reject: (error: Error) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  onReply(reply: object): void {
    this.#resolve(reply as Record<string, unknown>)
  }

  onRefused(text: string | undefined): void {
    this.#reject(
      text === undefined
        ? new PilotError('REGISTRY_UNREACHABLE', 'the registry does not answer')
        : new RegistryRefusal(text),
    )
  }
}
