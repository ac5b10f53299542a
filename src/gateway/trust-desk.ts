/** Trust decisions by people: which peer a name, address or id means, what is to be decided, and for how long. */
import { join } from 'node:path'
import { formatAddress, parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { NodeId } from '../base/types.ts'
import { fingerprintOfText } from '../crypto/fingerprint.ts'
import type { Overlay } from '../runtime/overlay.ts'
import type { PendingEntry, TrustedEntry } from '../wire/trust-file.ts'
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
      else await node.revokeDisplaced({ kind: 'key', publicKey: key }) // the registry has given its id away
    }
    return new TrustDesk(node, await TrustTerms.open({ file: join(stateDir, 'trust-terms.json'), log, end }))
  }

  stop(): void {
    this.#terms.stop()
  }

  async trusted(): Promise<readonly TrustRecord[]> {
    return (await this.#node.trusted()).map((entry) => this.#recordOf(entry))
  }

  async pending(): Promise<readonly PendingTrustRecord[]> {
    return (await this.#node.pendingTrust()).map((entry) => this.#pendingRecordOf(entry))
  }

  async request(peer: string, reason: string): Promise<TrustRequestRecord> {
    const { nodeId, hostname } = this.#node
    const self = this.#known(peer, [{ nodeId, publicKey: '' }])
    if (self !== undefined || peer === hostname)
      throw new PilotError(
        'USAGE',
        `${peer} is this node`,
        { peer },
        undefined,
        'Name the peer that should trust this node.',
      )
    const known = this.#known(peer, await this.#node.trusted())
    // A member of a shared network is trusted only for that reason: a person may also choose it.
    if (known !== undefined && known.network === 0) return { peer, state: 'approved' }
    await this.#node.requestTrust(peer, reason)
    return { peer, state: 'requested' }
  }

  /** @param forMs trust ends after this time; absent: it has no end. */
  async approve(peer: string, forMs?: number): Promise<TrustRecord> {
    const entry = this.#known(peer, await this.#node.pendingTrust())
    if (entry === undefined) throw await this.#nothingPending(peer)
    const key = keyOf(entry)
    if (forMs === undefined) await this.#terms.forget(key)
    else await this.#terms.begin(key, forMs) // first: a crash in between must not leave trust without its end
    if (!(await this.#node.approveTrust(entry.nodeId))) throw await this.#nothingPending(peer)
    const trusted = await this.#node.trustOf(entry.nodeId)
    return {
      ...this.#recordOf(trusted ?? { ...entry, approvedAt: entry.receivedAt, mutual: false, network: 0 }),
      since: null,
    }
  }

  async reject(peer: string): Promise<TrustRecord> {
    const entry = this.#known(peer, await this.#node.pendingTrust())
    if (entry === undefined || !(await this.#node.rejectTrust(entry.nodeId))) throw await this.#nothingPending(peer)
    return { ...this.#who(entry), since: null }
  }

  async revoke(peer: string): Promise<TrustRecord> {
    const entry = this.#known(peer, await this.#node.trusted())
    if (entry === undefined) {
      const isEnded = await this.#node.revokeDisplaced(peer)
      if ((await this.#node.dropWish(peer)) || isEnded) return this.#unanswered(peer)
    }
    const record = entry === undefined ? undefined : { ...this.#recordOf(entry), since: null }
    if (entry === undefined || record === undefined || !(await this.#node.revokeTrust(entry.nodeId)))
      throw new PilotError(
        'NOT_FOUND',
        `${peer} is not trusted`,
        { peer },
        undefined,
        '`pilotgate trust list` shows which peers are, and which were asked.',
      )
    if (entry !== undefined) await this.#terms.forget(keyOf(entry))
    return record
  }

  async #nothingPending(peer: string): Promise<PilotError> {
    const trusted = this.#known(peer, await this.#node.trusted()) !== undefined
    const hint = trusted
      ? 'There is nothing to decide. `pilotgate trust revoke PEER` withdraws trust.'
      : '`pilotgate trust pending` shows the requests that await a decision.'
    return new PilotError(
      'NOT_FOUND',
      trusted ? `${peer} is trusted already` : `no request from ${peer} is pending`,
      { peer },
      undefined,
      hint,
    )
  }

  /** For a peer that was only asked: its identity is not known yet. */
  #unanswered(peer: string): TrustRecord {
    const name = parsePeerName(peer)
    const nodeId = name?.kind === 'address' ? name.address.node : 0
    const hostname = name?.kind === 'hostname' ? name.hostname : undefined
    return { ...this.#who({ nodeId, publicKey: '' }), ...(hostname !== undefined && { hostname }), since: null }
  }

  /**
   * The one among `entries` that a person means by address, id or hostname; a name bound to a key takes precedence over
   * the registry's names. @throws PilotError USAGE for anything that is not a peer, and for an ambiguous name.
   */
  #known<Entry extends Named>(peer: string, entries: readonly Entry[]): Entry | undefined {
    const name = parsePeerName(peer)
    if (name === undefined)
      throw new PilotError(
        'USAGE',
        `${peer}: not a hostname, an address or a node id`,
        { peer },
        undefined,
        'Write it as agent-b, 0:0000.0000.0004 or 4.',
      )
    if (name.kind === 'address') return entries.find(({ nodeId }) => nodeId === name.address.node)
    const bound = entries.find(({ nodeId }) => this.#node.hostnameOf(nodeId) === name.hostname)
    if (bound !== undefined) return bound
    const called = entries.filter((entry) => this.#who(entry).hostname === name.hostname)
    if (called.length <= 1) return called[0]
    const each = called.map((entry) => `node ${entry.nodeId} (${this.#who(entry).fingerprint ?? 'key not known'})`)
    throw new PilotError(
      'USAGE',
      `several nodes are called ${peer}: ${each.join(', ')}`,
      { peer },
      undefined,
      'Compare the fingerprints, and give the node id of the one you mean.',
    )
  }

  #recordOf(entry: TrustedEntry): TrustRecord {
    const until = this.#terms.untilOf(keyOf(entry))
    return { ...this.#who(entry), since: entry.approvedAt, ...(until !== undefined && { until }) }
  }

  #pendingRecordOf(entry: PendingEntry): PendingTrustRecord {
    return { ...this.#who(entry), since: entry.receivedAt, justification: entry.justification }
  }

  #who({ nodeId, publicKey, hostname: claim }: Named): Omit<TrustRecord, 'since'> {
    const hostname = this.#node.hostnameOf(nodeId)
    return {
      nodeId,
      address: formatAddress({ network: 0, node: nodeId }),
      hostname: hostname ?? claim ?? this.#node.claimOf(nodeId) ?? null,
      nameVerified: hostname !== undefined,
      publicKey: publicKey === '' ? null : publicKey,
      fingerprint: fingerprintOfText(publicKey) ?? null,
    }
  }
}

/** Of a trusted peer, or one that has asked. */
type Named = Pick<PendingEntry, 'nodeId' | 'publicKey' | 'hostname'>

/** Ids change if a registry loses its data; a daemon may not know the key. */
function keyOf({ publicKey, nodeId }: { readonly publicKey: string; readonly nodeId: NodeId }): string {
  return publicKey === '' ? String(nodeId) : publicKey
}
