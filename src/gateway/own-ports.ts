/**
 * What our own node offers besides mappings and exposures: the services of a daemon on well-known ports, and the driver
 * socket. The operator's exposures come before both. Above: gateway.ts. A daemon that we drive has its own.
 */
import type { Logger } from '../base/logger.ts'
import { usualPlaces } from '../runtime/driver-socket/place.ts'
import { DriverSocket } from '../runtime/driver-socket/server.ts'
import type { OverlayNode } from '../runtime/node/node.ts'
import type { WellKnown } from '../services/well-known.ts'
import type { GatewayOptions } from './model/options.ts'
import type { DriverRecord } from './model/records.ts'

export class OwnPorts {
  readonly #node: OverlayNode
  readonly #wellKnown: WellKnown
  readonly #options: GatewayOptions['driver']
  readonly #version: string
  readonly #log: Logger
  #drivers: DriverSocket | undefined

  constructor(node: OverlayNode, wellKnown: WellKnown, driver: GatewayOptions['driver'], version: string, log: Logger) {
    this.#node = node
    this.#wellKnown = wellKnown
    this.#options = driver
    this.#version = version
    this.#log = log
  }

  /** The driver socket, if there is to be one: after the exposures, so that no client takes their ports. @throws PilotError CONFLICT, USAGE. */
  async open(): Promise<void> {
    if (this.#options === undefined) return
    const { socket, runtimeDir } = this.#options
    const at = socket === 'auto' ? usualPlaces(runtimeDir) : socket
    this.#drivers = await DriverSocket.open(this.#node, { at, version: this.#version }, this.#log)
  }

  get record(): DriverRecord | null {
    return this.#drivers === undefined ? null : { sockets: this.#drivers.paths, clients: this.#drivers.clients }
  }

  /** Frees these ports; open streams continue. */
  giveWay(taken: ReadonlySet<number>): void {
    this.#wellKnown.giveWay(taken)
    this.#drivers?.giveWay(taken)
  }

  /** Well-known services on every port that is not taken. @throws PilotError: like `listen`. */
  async serve(taken: ReadonlySet<number>): Promise<void> {
    await this.#wellKnown.serve(taken)
  }

  onTrust(): void {
    this.#drivers?.onTrust()
  }

  async close(): Promise<void> {
    await this.#drivers?.close()
    this.#drivers = undefined
  }
}
