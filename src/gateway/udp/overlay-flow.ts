/**
 * Datagrams to one port of one peer, and the answers: a separate overlay port for each local client, so that answers
 * reach it. Above: map/udp.ts, socks-udp.ts. Below: runtime/overlay.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { Overlay, OverlayDatagrams } from '../../runtime/overlay.ts'
import { admitDial } from '../service/path-policy.ts'
import type { PathPolicy } from '../model/path-policy.ts'
import { MAX_UDP_WAITING } from './sessions.ts'

export interface FlowEvents {
  onAnswer(bytes: Uint8Array): void
  /** A datagram that was not sent: DATAGRAM_TOO_LARGE, or an error of `dial`. */
  onDropped(error: PilotError): void
  /** The peer is known and its tunnel was up at that moment. */
  onOpen(node: NodeId): void
}

export interface FlowTarget {
  readonly peer: string
  readonly port: number
  readonly path: PathPolicy
  readonly trustedOnly?: true // refuse public nodes that do not trust us
}

export class OverlayFlow {
  readonly #node: Overlay
  readonly #target: FlowTarget
  readonly #events: FlowEvents
  #waiting: Uint8Array[] | undefined = [] // until the flow is open
  #port: OverlayDatagrams | undefined
  #peer: NodeId | undefined
  #closed = false
  readonly #abort = new AbortController()
  readonly #onDropped = (error: PilotError): void => {
    if (!this.#closed) this.#events.onDropped(error)
  }

  constructor(node: Overlay, target: FlowTarget, events: FlowEvents) {
    this.#node = node
    this.#target = target
    this.#events = events
  }

  /** Never rejects: `onDropped` reports errors, once per waiting datagram. @returns false if nothing was opened. */
  async open(): Promise<boolean> {
    const { peer, path, trustedOnly } = this.#target
    try {
      if (trustedOnly === true && !(await this.#node.isTrusted(await this.#node.resolve(peer))))
        throw new PilotError('NOT_TRUSTED', `${peer} is not a trusted peer`, { peer })
      await admitDial(this.#node, peer, path, this.#abort.signal)
      this.#peer = await this.#node.connect(peer)
      if (this.#closed) return false
      const port = await this.#node.datagrams(undefined, (bytes, from) => this.#onDatagram(bytes, from))
      if (this.#closed) {
        port.close()
        return false
      }
      this.#port = port
    } catch (error) {
      const lost = Math.max(1, this.#waiting?.length ?? 0)
      this.#waiting = undefined
      if (!this.#closed) for (let left = lost; left > 0; left--) this.#events.onDropped(asFlowError(error))
      return false
    }
    this.#events.onOpen(this.#peer)
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const bytes of waiting) this.send(bytes)
    return true
  }

  /** The flow owns the bytes from now on. */
  send(bytes: Uint8Array): void {
    if (this.#port === undefined || this.#peer === undefined) {
      if (this.#waiting === undefined || this.#waiting.length >= MAX_UDP_WAITING)
        this.#events.onDropped(
          new PilotError('TOO_MANY', `${MAX_UDP_WAITING} datagrams are already waiting for the peer`),
        )
      else this.#waiting.push(bytes)
      return
    }
    this.#port.sendTo(this.#peer, this.#target.port, bytes, this.#onDropped)
  }

  close(): void {
    this.#closed = true
    this.#abort.abort()
    this.#port?.close()
    this.#waiting = undefined
  }

  /** From any port of the peer: a Go daemon chooses its own source port. Our port belongs to this flow alone. */
  #onDatagram(bytes: Uint8Array, from: NodeId): void {
    if (from === this.#peer && !this.#closed) this.#events.onAnswer(bytes)
  }
}

/** @throws PilotError USAGE if answers could not come back. */
export async function checkAnswersReturn(node: Overlay, name: string): Promise<void> {
  const port = await node.datagrams(undefined, () => {})
  port.close()
  if (!port.keepsSourcePort)
    throw new PilotError(
      'USAGE',
      `${name}: a daemon chooses the port that it sends datagrams from, so answers cannot come back`,
      {},
      undefined,
      'Run without --daemon: /udp needs a node of its own.',
    )
}

function asFlowError(error: unknown): PilotError {
  return error instanceof PilotError ? error : new PilotError('FAILED', String(error), {}, error)
}
