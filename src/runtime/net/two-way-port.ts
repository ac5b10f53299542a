/** The node's datagrams: by UDP, except those for the beacon that use the TCP connection to the rendezvous. */
import type { Endpoint } from '../../base/types.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import { sealSlot } from '../../proto/node/datagram-slot.ts'
import type { DatagramPort } from './datagram-port.ts'

export interface TcpWay {
  /** Copies the bytes. */
  send(bytes: Uint8Array): void
}

export class TwoWayPort implements DatagramPort {
  readonly #udp: DatagramPort
  readonly #tcp: TcpWay
  readonly #isTcpOnly: boolean

  /** @param isTcpOnly nothing leaves by UDP. */
  constructor(udp: DatagramPort, tcp: TcpWay, isTcpOnly: boolean) {
    this.#udp = udp
    this.#tcp = tcp
    this.#isTcpOnly = isTcpOnly
  }

  get local(): Endpoint {
    return this.#udp.local
  }
  get receiveBufferBytes(): number {
    return this.#udp.receiveBufferBytes
  }
  get sendErrors(): number {
    return this.#udp.sendErrors
  }
  get kind(): 'native' | 'node' {
    return this.#udp.kind
  }
  get slots(): readonly DatagramSlot[] {
    return this.#udp.slots
  }
  /** A connection that is behind delays its own only: the core knows, and makes fewer. */
  get backlog(): number {
    return this.#udp.backlog
  }

  send(batch: readonly DatagramSlot[], count: number): void {
    let from = 0
    for (let i = 0; i < count; i++) {
      const slot = batch[i]!
      if (!slot.byTcp && !this.#isTcpOnly) continue
      if (i > from) this.#udp.send(batch.slice(from, i), i - from)
      from = i + 1
      if (!slot.byTcp) continue
      sealSlot(slot)
      this.#tcp.send(slot.buffer.subarray(0, slot.length))
    }
    if (from === 0) this.#udp.send(batch, count)
    else if (from < count) this.#udp.send(batch.slice(from, count), count - from)
  }

  close(): Promise<void> {
    return this.#udp.close()
  }
}
