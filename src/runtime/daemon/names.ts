/**
 * Which node a name means. A daemon asks the registry without saying who it is, so it finds public nodes only; where the
 * registry's address is known, it is asked directly, in the daemon's name (registry.md §3.6).
 */
import { connect } from 'node:net'
import { utf8 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import { parseEndpoint } from '../../base/types.ts'
import type { NodeId } from '../../base/types.ts'
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
  readonly #known = new Map<string, { readonly node: NodeId; readonly until: number }>()

  constructor(registry: string | undefined, control: () => IpcConnection, self: () => NodeId) {
    this.#registry = registry
    this.#control = control
    this.#self = self
  }

  /** @throws PilotError USAGE, NOT_FOUND, REGISTRY_UNREACHABLE, DAEMON_UNREACHABLE. */
  async resolve(peer: string): Promise<NodeId> {
    const name = nameOf(peer)
    if (name.kind === 'address') return name.address.node
    const { hostname } = name
    const known = this.#known.get(hostname)
    if (known !== undefined && performance.now() < known.until) return known.node
    const node =
      this.#registry === undefined
        ? await this.#askDaemon(hostname)
        : await askRegistry(this.#registry, hostname, this.#self())
    this.#known.delete(hostname)
    this.#known.set(hostname, { node, until: performance.now() + KNOWN_MS })
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!)
    return node
  }

  hostnameOf(node: NodeId): string | undefined {
    for (const [hostname, known] of this.#known) if (known.node === node) return hostname
    return undefined
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
      throw new PilotError('NOT_FOUND', `${hostname}: the daemon's answer does not read`, { peer: hostname })
    } catch (error) {
      if (!(error instanceof DaemonRefusal)) throw error
      throw new PilotError(
        'NOT_FOUND',
        `${hostname}: the daemon says: ${error.message}. It finds public nodes only: name the peer by its address or node id, or name the registry with --registry`,
        { peer: hostname },
      )
    }
  }
}

/** One question on a connection of its own: names are asked seldom. */
function askRegistry(registry: string, hostname: string, self: NodeId): Promise<NodeId> {
  const endpoint = parseEndpoint(registry)
  return new Promise((resolve, reject) => {
    const unreachable = (reason: string): void =>
      reject(
        new PilotError('REGISTRY_UNREACHABLE', `${hostname}: the registry ${registry} does not tell: ${reason}`, {
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

/** As long as the registry's own answers are remembered by a node of ours; a name that moves is found again soon. */
const KNOWN_MS = 30_000
const MAX_KNOWN = 1_024
const ASK_MS = 10_000
