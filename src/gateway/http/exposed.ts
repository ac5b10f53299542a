/**
 * A peer's HTTP on its way to a local target, with headers that identify the caller, or under the name that
 * the target expects. A peer's stream has one connection
 * to the target at a time; if the target closes it between two requests, the next request opens another. Above:
 * expose/tcp.ts, which opens connections to the target. Below: versions.ts.
 */
import { Agent } from 'node:http'
import type { Socket } from 'node:net'
import type { Overlay, OverlayStream } from '../../runtime/overlay.ts'
import { knownPeer } from '../model/known-peer.ts'
import { DEFAULT_DOMAIN } from '../model/peer-host.ts'
import type { AccessLog } from './access-log.ts'
import { dialling } from './dialling-agent.ts'
import type { Hop } from './hop.ts'
import { admitHost } from './host-rewrite.ts'
import { Paced } from './paced.ts'
import { HttpVersions } from './versions.ts'

export interface HttpExposureOptions {
  readonly identifies: boolean // sets headers that identify the caller
  readonly presents: string | undefined // Host that the service sees; undefined: the caller's
}

export class HttpExposure {
  readonly #service: string
  readonly #node: Overlay
  readonly #options: HttpExposureOptions
  readonly #http: HttpVersions

  /** @param service name of the exposure */
  constructor(service: string, node: Overlay, access: AccessLog, options: HttpExposureOptions) {
    this.#service = service
    this.#node = node
    this.#options = options
    this.#http = new HttpVersions(access, (protocol) => OPAQUE.has(protocol))
  }

  /**
   * @param first an open connection to the target; `open` makes further ones.
   * @param pace if bytes are limited, as in splice.ts.
   * @param label of the ticket that admitted the peer.
   */
  serve(
    stream: OverlayStream,
    first: Socket,
    open: () => Promise<Socket>,
    pace: ((bytes: number) => number) | undefined,
    label?: string,
  ): void {
    let ready: Socket | undefined = first.on('error', () => {}) // 'close' follows
    const connect = async (): Promise<Socket> => {
      const socket = ready?.destroyed === false ? ready : await open()
      ready = undefined
      socket.on('error', () => {})
      socket.allowHalfOpen = false // the end of an idle connection ends it
      return socket
    }
    // Sockets start paused: an HTTP/2 server may send first. With HTTP/1 nothing can arrive yet.
    const agent = dialling(new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 }), async () =>
      (await connect()).resume(),
    )
    stream.on('error', () => {}) // 'close' follows
    stream.once('close', () => {
      ready?.destroy()
      agent.destroy()
    })
    const wire = pace === undefined ? stream : new Paced(stream, pace)
    wire.on('error', () => {})
    this.#http.accept(wire, (asked) => {
      if (this.#options.presents !== undefined) admitHost(asked.authority, DEFAULT_DOMAIN)
      return this.#hop(stream, agent, connect, label)
    })
  }

  /** Idle streams end now, the others after their request. */
  drain(): void {
    this.#http.drain()
  }

  #hop(stream: OverlayStream, agent: Agent, connect: () => Promise<Socket>, label: string | undefined): Hop {
    const caller = knownPeer(this.#node, stream.peer)
    const { key, path } = caller
    const { identifies, presents } = this.#options
    return {
      host: 'target',
      port: stream.localPort,
      agent,
      connect, // one target per agent: the name is not a DNS name
      ...(identifies && { caller }),
      ...(presents !== undefined && { presents }),
      about: {
        http: 'expose',
        service: this.#service,
        peer: stream.peerName,
        nodeId: stream.peer,
        ...(label !== undefined && { label }),
        ...(key !== null && { key }),
        ...(path !== null && { via: path }),
      },
    }
  }
}

/**
 * Upgrades to protocols other than HTTP: requests inside an upgraded connection pass unread, with any `Pilot-…` header
 * the caller likes, so h2c, TLS (RFC 2817) and unknown protocols are not carried. docker exec and attach request `tcp`.
 */
const OPAQUE: ReadonlySet<string> = new Set(['websocket', 'tcp'])
