/** Datagrams of one overlay port of our own node. Above: node.ts. */
import { formatAddress } from '../../base/address.ts'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import type { OverlayDatagrams } from '../overlay.ts'
import type { Turn } from './node-trust.ts'

export class NodeDatagrams implements OverlayDatagrams {
  readonly keepsSourcePort = true
  readonly port: number
  readonly #core: OverlayCore
  readonly #turn: Turn
  readonly #connect: (peer: string) => Promise<NodeId>
  readonly #onClose: () => void

  constructor(
    port: number,
    node: { readonly core: OverlayCore; readonly turn: Turn; readonly connect: (peer: string) => Promise<NodeId> },
    onClose: () => void,
  ) {
    this.port = port
    this.#core = node.core
    this.#turn = node.turn
    this.#connect = node.connect
    this.#onClose = onClose
  }

  async send(peer: string, port: number, bytes: Uint8Array): Promise<void> {
    const fault = this.#send(await this.#connect(peer), port, bytes)
    if (fault !== undefined) throw dropped(fault, peer, bytes.length)
  }

  sendTo(node: NodeId, port: number, bytes: Uint8Array, onDropped: (error: PilotError) => void): void {
    const fault = this.#send(node, port, bytes)
    if (fault === undefined) return
    const peer = formatAddress({ network: 0, node })
    if (fault === 'too_large') return onDropped(dropped(fault, peer, bytes.length))
    this.send(peer, port, bytes).catch((error: unknown) => onDropped(asPilotError(error)))
  }

  close(): void {
    this.#core.closeDatagrams(this.port)
    this.#onClose()
  }

  #send(node: NodeId, port: number, bytes: Uint8Array): 'not_connected' | 'too_large' | undefined {
    return this.#turn(() => this.#core.sendDatagram(node, this.port, port, bytes))
  }
}

function dropped(fault: 'not_connected' | 'too_large', peer: string, bytes: number): PilotError {
  return fault === 'too_large'
    ? new PilotError('DATAGRAM_TOO_LARGE', `${bytes} bytes do not fit into one packet on the path to ${peer}`)
    : new PilotError('PEER_UNREACHABLE', `${peer}: the tunnel is gone`)
}
