/**
 * Resolves names to nodes. A daemon queries the registry anonymously, so it finds only public nodes; if the registry's
 * address is known, we query it directly, in the daemon's name (registry.md §3.6).
 */
import { connect } from 'node:net'
import { utf8 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import { parseEndpoint } from '../../base/types.ts'
import type { NodeId } from '../../base/types.ts'
import { fingerprintOfText } from '../../crypto/fingerprint.ts'
import {
  RegistryFrameReader,
  encodeRegistryFrame,
  parseRefusal,
  parseResolveHostnameReply,
} from '../../wire/registry-messages.ts'
import { nameOf } from '../peer-name.ts'
import { DaemonRefusal } from './ipc-connection.ts'
import type { IpcConnection } from './ipc-connection.ts'

export class DaemonNames {
  readonly #registry: string | undefined
  readonly #control: () => IpcConnection
  readonly #self: () => NodeId
  readonly #keyOf: (node: NodeId) => string | undefined
  readonly #known = new Map<string, { readonly node: NodeId; readonly until: number }>()
  /** The key (base64) that each name meant when its node was first trusted, for the life of this process. */
  readonly #keys = new Map<string, string>()

  /** @param keyOf of a trusted node, base64. */
  constructor(
    registry: string | undefined,
    control: () => IpcConnection,
    self: () => NodeId,
    keyOf: (node: NodeId) => string | undefined,
  ) {
    this.#keyOf = keyOf
    this.#registry = registry
    this.#control = control
    this.#self = self
  }

  /** @throws PilotError USAGE, NOT_FOUND, KEY_CHANGED, REGISTRY_UNREACHABLE, DAEMON_UNREACHABLE. */
  async resolve(peer: string): Promise<NodeId> {
    const name = nameOf(peer)
    if (name.kind === 'address') return name.address.node
    const { hostname } = name
    const known = this.#known.get(hostname)
    if (known !== undefined && performance.now() < known.until) return this.#checked(hostname, known.node)
    const node =
      this.#registry === undefined
        ? await this.#askDaemon(hostname)
        : await askRegistry(this.#registry, hostname, this.#self())
    this.#known.delete(hostname)
    this.#known.set(hostname, { node, until: performance.now() + KNOWN_MS })
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!)
    return this.#checked(hostname, node)
  }

  /**
   * A daemon's trust list has no names: a name means the first trusted key that it led to. @throws PilotError
   * KEY_CHANGED.
   */
  #checked(hostname: string, node: NodeId): NodeId {
    const [bound, key] = [this.#keys.get(hostname), this.#keyOf(node)]
    if (bound === undefined) {
      if (key !== undefined && this.nameOf(key) === undefined && this.#keys.size < MAX_KNOWN)
        this.#keys.set(hostname, key)
    } else if (key !== bound) {
      const other = key === undefined ? 'which is not trusted' : `which has the key ${fingerprintOfText(key) ?? key}`
      throw new PilotError(
        'KEY_CHANGED',
        `${hostname} means the key ${fingerprintOfText(bound) ?? bound} here, but the registry gives this name to node ${node}, ${other}; nothing was sent to it`,
        { peer: hostname },
      )
    }
    return node
  }

  /** The registry's or daemon's name for this node. */
  claimOf(node: NodeId): string | undefined {
    for (const [hostname, known] of this.#known) if (known.node === node) return hostname
    return undefined
  }

  /** Whether this name is bound to a trusted key; a name not seen yet is looked up. */
  async isNamed(hostname: string, key: string | undefined): Promise<boolean> {
    if (key === undefined) return false
    if (!this.#keys.has(hostname)) await this.resolve(hostname).catch(() => {})
    return this.#keys.get(hostname) === key
  }

  nameOf(key: string | undefined): string | undefined {
    for (const [hostname, known] of this.#keys) if (known === key) return hostname // only a few, and daemons are slow
    return undefined
  }

  /** Trust in this key has ended. */
  free(key: string | undefined): void {
    const name = this.nameOf(key)
    if (name !== undefined) this.#keys.delete(name)
  }

  /** Whether a peer as written is this node, as far as we know without asking. */
  means(peer: string, node: NodeId): boolean {
    const name = nameOf(peer)
    return name.kind === 'address' ? name.address.node === node : this.#known.get(name.hostname)?.node === node
  }

  async #askDaemon(hostname: string): Promise<NodeId> {
    try {
      const answer = await this.#control().request(
        { kind: 'query', query: 'resolve_hostname', body: utf8(hostname) },
        ASK_MS,
      )
      const reply =
        answer.kind === 'json' ? parseResolveHostnameReply(JSON.parse(answer.text) as object) : 'malformed_reply'
      if (typeof reply === 'object') return reply.nodeId
      throw new PilotError('NOT_FOUND', `${hostname}: could not parse the daemon's answer`, { peer: hostname })
    } catch (error) {
      if (!(error instanceof DaemonRefusal)) throw error
      throw new PilotError(
        'NOT_FOUND',
        `${hostname}: the daemon answered: ${error.message}. It finds public nodes only: name the peer by its address or node id, or name the registry with --registry`,
        { peer: hostname },
      )
    }
  }
}

/** One query on a separate connection: names are rarely looked up. */
function askRegistry(registry: string, hostname: string, self: NodeId): Promise<NodeId> {
  const endpoint = parseEndpoint(registry)
  return new Promise((resolve, reject) => {
    const unreachable = (reason: string): void =>
      reject(
        new PilotError('REGISTRY_UNREACHABLE', `${hostname}: no answer from the registry ${registry}: ${reason}`, {
          registry,
        }),
      )
    if (endpoint === undefined) return reject(new PilotError('USAGE', `--registry ${registry}: expected host:port`))
    const socket = connect({ host: endpoint.address, port: endpoint.port, timeout: ASK_MS })
    const reader = new RegistryFrameReader()
    socket.once('connect', () =>
      socket.write(encodeRegistryFrame({ type: 'resolve_hostname', hostname, requester_id: self })),
    )
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${ASK_MS} ms`)))
    socket.on('error', (error) => unreachable(error.message))
    socket.once('close', () => unreachable('it closed the connection'))
    socket.on('data', (chunk: Uint8Array) => {
      reader.push(chunk)
      const reply = reader.next()
      if (reply === undefined) return
      const found = typeof reply === 'string' ? reply : parseResolveHostnameReply(reply)
      if (typeof found === 'object') resolve(found.nodeId)
      else
        reject(
          new PilotError(
            'NOT_FOUND',
            `${hostname}: ${(typeof reply === 'object' ? parseRefusal(reply) : undefined) ?? found}`,
            { peer: hostname },
          ),
        )
      socket.destroy()
    })
  })
}

/** As long as our own node caches the registry's answers; a name that moves is soon found again. */
const KNOWN_MS = 30_000
const MAX_KNOWN = 1_024
const ASK_MS = 10_000
