/**
 * UDP ASSOCIATE of SOCKS5 (RFC 1928 §7): a local UDP port for one client, which names a peer before each datagram. It
 * lives as long as the TCP connection that requested it. Above: proxy.ts. Below: udp/overlay-flow.ts.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Socket } from 'node:net'
import { asPilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import type { Connection, ConnectionTable } from '../service/connections.ts'
import { checkAnswersReturn, OverlayFlow } from '../udp/overlay-flow.ts'
import { readTarget } from './socks.ts'
import { resetSocket } from '../service/splice.ts'
import { UDP_BUFFER_BYTES, UdpSessionTable } from '../udp/sessions.ts'
import type { UdpSession } from '../udp/sessions.ts'

export interface SocksUdpDeps {
  readonly node: Overlay
  readonly connections: ConnectionTable
  readonly log: Logger
  readonly peerOf: (host: string) => string // throws for anything that is not a peer
}

interface Flow extends UdpSession {
  readonly flow: OverlayFlow
}

export class SocksUdp {
  readonly #deps: SocksUdpDeps
  readonly #control: Socket
  readonly #socket: UdpSocket
  readonly #flows = new UdpSessionTable<Flow>(MAX_FLOWS)
  readonly #connection: Connection
  readonly #traffic = { bytesRead: 0, bytesWritten: 0 }
  #client: RemoteInfo | undefined // the first that sends from the client's address

  private constructor(deps: SocksUdpDeps, control: Socket, socket: UdpSocket) {
    this.#deps = deps
    this.#control = control
    this.#socket = socket
    const local = formatEndpoint({ address: control.remoteAddress ?? '', port: control.remotePort ?? 0 })
    this.#connection = deps.connections.add(
      { direction: 'map', service: 'proxy', protocol: 'udp', peer: '*', nodeId: null, local, remote: '*' },
      () => resetSocket(control),
    )
    deps.connections.opened(this.#connection, this.#traffic)
    socket.on('message', (bytes, from) => this.#onClient(bytes, from))
    socket.on('error', (error) =>
      deps.log.debug({ service: 'proxy', reason: error.message }, 'a datagram could not be received or sent'),
    )
    control
      .resume()
      .once('close', () => this.#close())
      .once('end', () => control.destroy())
  }

  /** @throws PilotError USAGE under a daemon, TOO_MANY. */
  static async open(deps: SocksUdpDeps, control: Socket): Promise<SocksUdp> {
    await checkAnswersReturn(deps.node, 'proxy')
    const address = control.localAddress ?? '127.0.0.1'
    const socket = createSocket({
      type: isIPv6(address) ? 'udp6' : 'udp4',
      recvBufferSize: UDP_BUFFER_BYTES,
      sendBufferSize: UDP_BUFFER_BYTES,
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address, port: 0 }, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    try {
      return new SocksUdp(deps, control, socket)
    } catch (error) {
      socket.close()
      throw error
    }
  }

  get local(): { readonly address: string; readonly port: number } {
    return this.#socket.address()
  }

  /** RSV(2) FRAG(1) ATYP DST.ADDR DST.PORT DATA; fragments are dropped, as the standard allows. */
  #onClient(bytes: Buffer, from: RemoteInfo): void {
    if (from.address !== this.#control.remoteAddress || from.port === 0) return // no answer can be sent to port 0
    this.#client ??= from
    if (from.port !== this.#client.port || bytes[2] !== 0) return this.#drop()
    const target = readTarget(bytes, 3)
    if (typeof target === 'string' || target.port === 0) return this.#drop()
    const header = bytes.subarray(0, target.end)
    const key = header.toString('latin1')
    const flow = this.#flows.get(key) ?? this.#open(key, header, target.host, target.port)
    if (flow === undefined) return this.#drop()
    flow.usedAt = performance.now()
    this.#traffic.bytesWritten += bytes.length - target.end
    flow.flow.send(bytes.subarray(target.end))
  }

  #open(key: string, header: Buffer, host: string, port: number): Flow | undefined {
    const { node, log } = this.#deps
    let peer: string
    try {
      peer = this.#deps.peerOf(host)
    } catch (error) {
      log.debug({ service: 'proxy', code: asPilotError(error).code }, asPilotError(error).message)
      return undefined
    }
    const flow = new OverlayFlow(
      node,
      { peer, port, path: 'any', trustedOnly: true },
      {
        onOpen: () => {},
        onAnswer: (answer) => {
          session.usedAt = performance.now()
          session.answered = true
          this.#traffic.bytesRead += answer.length
          this.#socket.send([header, answer], this.#client!.port, this.#client!.address)
        },
        onDropped: (error) => {
          this.#drop()
          log.debug({ service: 'proxy', peer, code: error.code }, `a datagram was dropped: ${error.message}`)
          if (error.code !== 'DATAGRAM_TOO_LARGE' && error.code !== 'TOO_MANY') this.#flows.remove(key, session)
        },
      },
    )
    const session: Flow = { usedAt: performance.now(), answered: false, flow, close: () => flow.close() }
    this.#flows.add(key, session)
    void flow.open().then((opened) => {
      if (!opened) this.#flows.remove(key, session)
    })
    return session
  }

  #drop(): void {
    this.#deps.connections.counters.datagrams_dropped += 1
  }

  #close(): void {
    this.#flows.clear()
    this.#socket.close()
    this.#deps.connections.remove(this.#connection)
  }
}

/** Destinations of one client at a time; a further one ends the stalest. */
const MAX_FLOWS = 256
