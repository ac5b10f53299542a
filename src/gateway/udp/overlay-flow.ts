/**
 * Datagrams to one port of one peer, and the answers: an overlay port of our own for each local client, so that an answer
 * finds its way back. Above: map/udp.ts, socks-udp.ts. Below: runtime/overlay.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { OverlayDatagrams, Overlay } from '../../runtime/overlay.ts'
import { admitDial } from '../service/path-policy.ts'
import type { PathPolicy } from '../model/path-policy.ts'
import { MAX_UDP_WAITING } from './sessions.ts'

export interface FlowEvents {
  onAnswer(bytes: Uint8Array): void
  /** A datagram that did not leave: DATAGRAM_TOO_LARGE, or what `dial` throws. */
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

  constructor(node: Overlay, target: FlowTarget, events: FlowEvents) {
    this.#node = node
    this.#target = target
    this.#events = events
  }

  /** Never rejects: what goes wrong is told by `onDropped`, once per datagram that waited. @returns false when nothing was opened. */
  async open(): Promise<boolean> {
    const { peer, path, trustedOnly } = this.#target
    try {
      if (trustedOnly === true && !(await this.#node.isTrusted(await this.#node.resolve(peer))))
        throw new PilotError('NOT_TRUSTED', `${peer} is not a trusted peer`, { peer })
      await admitDial(this.#node, peer, path, this.#abort.signal)
      this.#peer = await this.#node.connect(peer)
      if (this.#closed) return false
      const port = await openEphemeral(this.#node, (bytes, from) => this.#onDatagram(bytes, from))
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

  /** The bytes are the flow's from now on. */
  send(bytes: Uint8Array): void {
    if (this.#port === undefined) {
      if (this.#waiting === undefined || this.#waiting.length >= MAX_UDP_WAITING)
        this.#events.onDropped(new PilotError('TOO_MANY', `${MAX_UDP_WAITING} datagrams wait for the peer already`))
      else this.#waiting.push(bytes)
      return
    }
    this.#port.send(String(this.#peer), this.#target.port, bytes).catch((error: unknown) => {
      if (!this.#closed) this.#events.onDropped(asFlowError(error))
    })
  }

  close(): void {
    this.#closed = true
    this.#abort.abort()
    this.#port?.close()
    this.#waiting = undefined
  }

  /** From whichever port of the peer: a Go daemon sends from one of its own choosing. Ours belongs to this flow alone. */
  #onDatagram(bytes: Uint8Array, from: NodeId): void {
    if (from === this.#peer && !this.#closed) this.#events.onAnswer(bytes)
  }
}

/** An overlay port of the ephemeral range that takes datagrams. @throws PilotError TOO_MANY, USAGE under a daemon. */
async function openEphemeral(
  node: Overlay,
  onDatagram: (bytes: Uint8Array, from: NodeId) => void,
): Promise<OverlayDatagrams> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const number = EPHEMERAL_FIRST + Math.floor(Math.random() * EPHEMERAL_COUNT) // not a secret: the tunnel authenticates who answers
    try {
      return await node.datagrams(number, onDatagram)
    } catch (error) {
      if (!(error instanceof PilotError) || error.code !== 'PORT_IN_USE') throw error
    }
  }
  throw new PilotError('TOO_MANY', 'no overlay port is free for another UDP session')
}

/** @throws PilotError USAGE where answers could not come back. */
export async function checkAnswersReturn(node: Overlay, name: string): Promise<void> {
  const port = await openEphemeral(node, () => {})
  port.close()
  if (!port.keepsSourcePort)
    throw new PilotError(
      'USAGE',
      `${name}: a daemon sends datagrams from a port of its own choosing, so answers cannot come back`,
      {},
      undefined,
      'Run without --daemon: /udp needs a node of its own.',
    )
}

function asFlowError(error: unknown): PilotError {
  return error instanceof PilotError ? error : new PilotError('FAILED', String(error), {}, error)
}

const EPHEMERAL_FIRST = 49_152 // as for streams
const EPHEMERAL_COUNT = 16_384
/** With a tenth of the range free, one try in 10^14 times fails for nothing. */
const MAX_TRIES = 300
