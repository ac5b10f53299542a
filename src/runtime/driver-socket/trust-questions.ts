/** Handshake requests of the driver socket (ipc.md §2.2), by the node's trust. Above: questions.ts. */
import { formatAddress } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { DriverQuestion } from '../../proto/driver/client.ts'
import type { OverlayNode } from '../node/node.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'
import type { Answer } from './host.ts'
import { DriverRefusal, refusalText } from './refusal.ts'

export class TrustQuestions {
  readonly #node: OverlayNode
  readonly #waiting = new Set<() => Promise<void>>()

  constructor(node: OverlayNode) {
    this.#node = node
  }

  onTrust(): void {
    for (const look of this.#waiting) void look()
  }

  async answer(request: Extract<DriverQuestion, { kind: 'handshake' }>, gone: AbortSignal): Promise<Answer> {
    const node = request.node ?? 0
    switch (request.sub) {
      case 'request':
        return await this.#request(node, request.text)
      case 'approve':
        await this.#node.approveTrust(node)
        return { node_id: node, status: 'approved' } // also if nothing was pending, as daemons answer
      case 'reject':
        await this.#node.rejectTrust(node)
        return { node_id: node, status: 'rejected' }
      case 'pending':
        return { pending: (await this.#node.pendingTrust()).map(pendingRecord) }
      case 'trusted':
        return { trusted: (await this.#node.trusted()).map(trustedRecord) }
      case 'revoke':
        if (await this.#node.revokeTrust(node)) return { node_id: node, status: 'revoked' }
        throw new DriverRefusal(`handshake revoke: node ${node} was not trusted`)
      case 'wait':
        return { node_id: node, trusted: await this.#wait(node, Math.min(request.waitMs ?? 0, MAX_WAIT_MS), gone) }
    }
  }

  async #request(node: NodeId, reason: string): Promise<Answer> {
    const peer = formatAddress({ network: 0, node })
    if (await this.#node.isTrusted(node)) return { node_id: node, status: 'sent' } // as daemons answer
    if (this.#node.wishes.includes(peer)) return { node_id: node, status: 'in_flight' }
    try {
      await this.#node.about(node) // a request to an unknown node would be kept indefinitely
      await this.#node.requestTrust(peer, reason)
    } catch (error) {
      const isUnknown = error instanceof PilotError && error.code === 'NOT_FOUND'
      throw new DriverRefusal(
        isUnknown
          ? `handshake request: handshake relay: registry: node ${node}: node not found`
          : refusalText('handshake request', error),
      )
    }
    return { node_id: node, status: 'sent' }
  }

  /** @returns whether it is trusted in time. */
  async #wait(node: NodeId, forMs: number, gone: AbortSignal): Promise<boolean> {
    if (await this.#node.isTrusted(node)) return true
    return await new Promise((resolve) => {
      const done = (isTrusted: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        gone.removeEventListener('abort', giveUp)
        resolve(isTrusted)
      }
      const look = async (): Promise<void> => {
        if (await this.#node.isTrusted(node)) done(true)
      }
      const giveUp = (): void => done(false)
      const timer = setTimeout(giveUp, forMs)
      this.#waiting.add(look)
      gone.addEventListener('abort', giveUp, { once: true })
    })
  }
}

function pendingRecord({ nodeId, publicKey, justification, receivedAt }: PendingEntry): Record<string, unknown> {
  return { node_id: nodeId, public_key: publicKey, justification, received_at: unixSeconds(receivedAt) }
}

function trustedRecord({ nodeId, publicKey, approvedAt, mutual, network }: TrustedEntry): Record<string, unknown> {
  return { node_id: nodeId, public_key: publicKey, approved_at: unixSeconds(approvedAt), mutual, network }
}

/** Of an RFC 3339 text; 0 if it is none. */
function unixSeconds(text: string): number {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000)
}

/** As in daemons. */
const MAX_WAIT_MS = 30_000
