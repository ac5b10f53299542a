/**
 * Trust through a daemon: it keeps the list and does the handshakes; we send requests and poll for results. Queries use
 * the control connection; commands that may take half a minute use a separate one.
 */
import { formatAddress } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import { fingerprintOfText } from '../../crypto/fingerprint.ts'
import { parsePendingReply, parseTrustedReply } from './daemon-json.ts'
import type { HandshakeSub } from '../../wire/ipc-messages.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'
import type { OverlayEvent } from '../overlay.ts'
import { DaemonRefusal, IpcConnection, NO_EVENTS } from './ipc-connection.ts'
import type { DaemonNames } from './names.ts'

interface Wish {
  readonly peer: string
  readonly reason: string
  askedAt: number
  told: string
}

export class DaemonTrust {
  readonly #socket: string
  readonly #control: () => IpcConnection
  readonly #names: DaemonNames
  readonly #onEvent: (event: OverlayEvent) => void
  readonly #wishes = new Map<string, Wish>()
  #trusted: ReadonlySet<NodeId> | undefined // as last seen
  #keys: ReadonlyMap<NodeId, string> = new Map() // base64; the same look
  #pending: ReadonlySet<NodeId> = new Set()
  #slow: Promise<IpcConnection> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(
    socket: string,
    control: () => IpcConnection,
    names: DaemonNames,
    onEvent: (event: OverlayEvent) => void,
  ) {
    this.#socket = socket
    this.#control = control
    this.#names = names
    this.#onEvent = onEvent
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#look(), 0)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    void this.#slow?.then(
      (ipc) => ipc.destroy(),
      () => {},
    )
  }

  async trusted(): Promise<readonly TrustedEntry[]> {
    return read(parseTrustedReply(await this.#read('trusted')))
  }
  async pending(): Promise<readonly PendingEntry[]> {
    return read(parsePendingReply(await this.#read('pending')))
  }
  /** As of the last query. */
  knows(node: NodeId): boolean {
    return this.#trusted?.has(node) === true
  }
  keyOf(node: NodeId): string | undefined {
    return this.#keys.get(node)
  }

  get wishes(): readonly string[] {
    return [...this.#wishes.keys()]
  }
  dropWish(peer: string): boolean {
    return this.#wishes.delete(peer)
  }

  wish(peer: string, reason: string): void {
    this.#wishes.set(peer, { peer, reason, askedAt: -Infinity, told: '' })
    if (this.#stopped || this.#trusted === undefined) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#look(), 0)
  }

  async approve(node: NodeId): Promise<boolean> {
    // A daemon also approves requests that were never made, without telling anyone.
    if (!(await this.pending()).some(({ nodeId }) => nodeId === node)) return false
    await this.#order('approve', node, '')
    return true
  }

  async reject(node: NodeId): Promise<boolean> {
    if (!(await this.pending()).some(({ nodeId }) => nodeId === node)) return false
    await this.#order('reject', node, '')
    return true
  }

  async revoke(node: NodeId): Promise<boolean> {
    for (const peer of this.#wishes.keys()) if (this.#names.means(peer, node)) this.#wishes.delete(peer)
    if (!(await this.trusted()).some(({ nodeId }) => nodeId === node)) return false
    await this.#order('revoke', node, '')
    return true
  }

  async #look(): Promise<void> {
    try {
      const [trusted, pending] = [await this.trusted(), await this.pending()]
      const before = this.#keys
      this.#keys = new Map(
        trusted.filter(({ publicKey }) => publicKey !== '').map(({ nodeId, publicKey }) => [nodeId, publicKey]),
      )
      this.#tell(new Set(trusted.map(({ nodeId }) => nodeId)), new Set(pending.map(({ nodeId }) => nodeId)))
      for (const [node, key] of before) if (this.#keys.get(node) !== key) this.#names.free(key)
      for (const wish of this.#wishes.values()) await this.#pursue(wish)
    } catch {
      // the daemon is away: the control connection reports that, and we ask again
    }
    clearTimeout(this.#timer)
    if (!this.#stopped)
      this.#timer = setTimeout(() => void this.#look(), this.#wishes.size > 0 ? WISHING_LOOK_MS : LOOK_MS)
  }

  async #pursue(wish: Wish): Promise<void> {
    try {
      const node = await this.#names.resolve(wish.peer)
      if (this.#trusted?.has(node) === true) {
        this.#wishes.delete(wish.peer)
        if (wish.askedAt === -Infinity) this.#onTrust(node, 'approved') // it was so before we started
      } else if (this.#pending.has(node)) {
        wish.askedAt = performance.now()
        await this.#order('approve', node, '')
      } else if (performance.now() - wish.askedAt > ASK_AGAIN_MS) {
        wish.askedAt = performance.now()
        await this.#order('request', node, wish.reason)
      }
    } catch (error) {
      const { message } = error as Error
      if (message !== wish.told && !this.#stopped)
        this.#onEvent({ kind: 'wish_refused', peer: wish.peer, text: message })
      wish.told = message
    }
  }

  #tell(trusted: ReadonlySet<NodeId>, pending: ReadonlySet<NodeId>): void {
    const before = this.#trusted
    const pendingBefore = this.#pending
    this.#trusted = trusted
    this.#pending = pending
    for (const node of pending) if (!pendingBefore.has(node)) this.#onTrust(node, 'pending')
    if (before === undefined) return
    for (const node of trusted) if (!before.has(node)) this.#onTrust(node, 'approved')
    for (const node of before) if (!trusted.has(node)) this.#onTrust(node, 'revoked')
  }

  #onTrust(node: NodeId, state: 'pending' | 'approved' | 'revoked'): void {
    const key = this.#keys.get(node)
    const hostname = this.#names.nameOf(key)
    this.#onEvent({
      kind: 'trust',
      node,
      hostname: hostname ?? this.#names.claimOf(node),
      isVerified: hostname !== undefined,
      fingerprint: fingerprintOfText(key ?? ''),
      state,
    })
  }

  async #read(sub: 'trusted' | 'pending'): Promise<string> {
    const answer = await this.#control().request({ kind: 'handshake', sub, node: undefined, text: '' }, READ_MS)
    return answer.kind === 'json' ? answer.text : ''
  }

  /** @throws PilotError REGISTRY_REFUSED with the daemon's words, DAEMON_UNREACHABLE. */
  async #order(sub: HandshakeSub, node: NodeId, text: string): Promise<void> {
    this.#slow ??= IpcConnection.open(this.#socket, {
      ...NO_EVENTS,
      onClose: () => {
        this.#slow = undefined
      },
    })
    try {
      const ipc = await this.#slow
      await ipc.request({ kind: 'handshake', sub, node, text }, ORDER_MS)
    } catch (error) {
      if (!(error instanceof DaemonRefusal)) {
        this.#slow = undefined
        throw error
      }
      throw new PilotError(
        'REGISTRY_REFUSED',
        `${formatAddress({ network: 0, node })}: the daemon answered: ${error.message}`,
        { nodeId: node },
      )
    }
  }
}

function read<T>(list: readonly T[] | 'malformed'): readonly T[] {
  if (list === 'malformed') throw new PilotError('DAEMON_UNREACHABLE', "could not parse the daemon's trust list")
  return list
}

const READ_MS = 10_000
/** A handshake may take a daemon 40 s (ipc.md §1). */
const ORDER_MS = 60_000
/** A poll costs two queries on a Unix socket. */
const LOOK_MS = 5_000
const WISHING_LOOK_MS = 1_000
/** A request that was lost, or rejected long ago, is repeated. */
const ASK_AGAIN_MS = 30_000
