/** Trust, as people decide about it: whom they mean by a name, an address or an id, what there is to decide, and for how long. */
import { join } from 'node:path'
import { formatAddress, parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { NodeId } from '../base/types.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { TrustTerms } from './trust-terms.ts'
import type { PendingTrustRecord, TrustRecord, TrustRequestRecord } from './model/records.ts'

export class TrustDesk {
  readonly #node: Overlay
  readonly #terms: TrustTerms

  private constructor(node: Overlay, terms: TrustTerms) {
    this.#node = node
    this.#terms = terms
  }

  static async open(node: Overlay, stateDir: string, log: Logger): Promise<TrustDesk> {
    const end = async (key: string): Promise<void> => {
      const entry = (await node.trusted()).find((one) => keyOf(one) === key)
      if (entry !== undefined) await node.revokeTrust(entry.nodeId)
    }
    return new TrustDesk(node, await TrustTerms.open({ file: join(stateDir, 'trust-terms.json'), log, end }))
  }

  stop(): void {
    this.#terms.stop()
  }

  async trusted(): Promise<readonly TrustRecord[]> {
    return (await this.#node.trusted()).map((entry) => {
      const until = this.#terms.untilOf(keyOf(entry))
      return {
        ...this.#trustRecord(entry.nodeId, entry.publicKey, entry.approvedAt),
        ...(until !== undefined && { until }),
      }
    })
  }

  async pending(): Promise<readonly PendingTrustRecord[]> {
    return (await this.#node.pendingTrust()).map((entry) => ({
      ...this.#trustRecord(entry.nodeId, entry.publicKey, entry.receivedAt),
      justification: entry.justification,
    }))
  }

  async request(peer: string, reason: string): Promise<TrustRequestRecord> {
    const { nodeId, hostname } = this.#node
    const self = this.#known(peer, [{ nodeId }])
    if (self !== undefined || peer === hostname)
      throw new PilotError(
        'USAGE',
        `${peer} is this node itself`,
        { peer },
        undefined,
        'Name the peer that should trust this node.',
      )
    const known = this.#known(peer, await this.#node.trusted())
    if (known !== undefined) return { peer, state: 'approved' }
    await this.#node.requestTrust(peer, reason)
    return { peer, state: 'requested' }
  }

  /** @param forMs trust ends after so long; absent: it has no end. */
  async approve(peer: string, forMs?: number): Promise<TrustRecord> {
    const pending = await this.#node.pendingTrust()
    const node = this.#known(peer, pending)
    const entry = pending.find(({ nodeId }) => nodeId === node)
    if (entry === undefined) throw await this.#nothingPending(peer)
    const key = keyOf(entry)
    if (forMs === undefined) await this.#terms.forget(key)
    else await this.#terms.begin(key, forMs) // first: a crash in between must not leave trust without its end
    if (!(await this.#node.approveTrust(entry.nodeId))) throw await this.#nothingPending(peer)
    const until = this.#terms.untilOf(key)
    return { ...this.#trustRecord(entry.nodeId, entry.publicKey, null), ...(until !== undefined && { until }) }
  }

  async reject(peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, await this.#node.pendingTrust())
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    if (node === undefined || record === undefined || !(await this.#node.rejectTrust(node)))
      throw await this.#nothingPending(peer)
    return record
  }

  async revoke(peer: string): Promise<TrustRecord> {
    const trusted = await this.#node.trusted()
    const node = this.#known(peer, trusted)
    if (node === undefined && this.#node.dropWish(peer)) return this.#unanswered(peer)
    const entry = trusted.find(({ nodeId }) => nodeId === node)
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    if (node === undefined || record === undefined || !(await this.#node.revokeTrust(node)))
      throw new PilotError(
        'NOT_FOUND',
        `${peer} is not trusted`,
        { peer },
        undefined,
        '`pilotgate trust list` shows who is, and who has been asked.',
      )
    if (entry !== undefined) await this.#terms.forget(keyOf(entry))
    return record
  }

  async #nothingPending(peer: string): Promise<PilotError> {
    const trusted = this.#known(peer, await this.#node.trusted()) !== undefined
    const hint = trusted
      ? 'There is nothing to decide. `pilotgate trust revoke PEER` takes trust back.'
      : '`pilotgate trust pending` shows the requests that wait.'
    return new PilotError(
      'NOT_FOUND',
      trusted ? `${peer} is trusted already` : `no request of ${peer} is pending`,
      { peer },
      undefined,
      hint,
    )
  }

  /** For a peer that had only been asked: nobody knows yet who that is. */
  #unanswered(peer: string): TrustRecord {
    const name = parsePeerName(peer)
    const node = name?.kind === 'address' ? name.address.node : 0
    return { ...this.#trustRecord(node, '', null), ...(name?.kind === 'hostname' && { hostname: name.hostname }) }
  }

  /** The node among `entries` that a person means by address, id or hostname. */
  #known(peer: string, entries: ReadonlyArray<{ readonly nodeId: NodeId }>): NodeId | undefined {
    const name = parsePeerName(peer)
    if (name === undefined)
      throw new PilotError(
        'USAGE',
        `${peer}: not a hostname, an address or a node id`,
        { peer },
        undefined,
        'Write it as agent-b, 0:0000.0000.0004 or 4.',
      )
    return entries.find(({ nodeId }) =>
      name.kind === 'address' ? nodeId === name.address.node : this.#node.hostnameOf(nodeId) === name.hostname,
    )?.nodeId
  }

  #trustRecord(node: NodeId, publicKey: string, since: string | null): TrustRecord {
    return {
      nodeId: node,
      address: formatAddress({ network: 0, node }),
      hostname: this.#node.hostnameOf(node) ?? null,
      publicKey: publicKey === '' ? null : publicKey,
      since,
    }
  }
}

/** Ids change when a registry loses its memory; a daemon may not know the key. */
function keyOf({ publicKey, nodeId }: { readonly publicKey: string; readonly nodeId: NodeId }): string {
  return publicKey === '' ? String(nodeId) : publicKey
}
