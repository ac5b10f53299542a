/**
 * A mapping with host=rewrite: its clients' HTTP on its way to the peer, whose server sees `localhost`. A client has one
 * connection to the peer at a time. Above: map/tcp.ts, which dials. Below: versions.ts.
 */
import { Agent } from 'node:http'
import type { Socket } from 'node:net'
import type { OverlayStream } from '../../runtime/overlay.ts'
import { DEFAULT_DOMAIN, HTTP_PORT } from '../model/peer-host.ts'
import type { AccessLog } from './access-log.ts'
import { dialling } from './dialling-agent.ts'
import { admitHost } from './host-rewrite.ts'
import { HttpVersions } from './versions.ts'

export class HttpMapping {
  readonly #service: string
  readonly #peer: string
  readonly #port: number
  readonly #http: HttpVersions

  /** @param service name of the mapping. @param port of the peer. */
  constructor(service: string, peer: string, port: number, access: AccessLog) {
    this.#service = service
    this.#peer = peer
    this.#port = port
    this.#http = new HttpVersions(access, () => true) // after an upgrade, the data is between the client and the peer
  }

  /** @param dial its errors become answers: 502, 504. */
  serve(socket: Socket, dial: () => Promise<OverlayStream>): void {
    const connect = async (): Promise<OverlayStream> => {
      const stream = await dial()
      stream.allowHalfOpen = false // the end of an idle connection ends it
      stream.on('error', () => {})
      stream.once('close', () => this.#http.closeIdle(socket))
      return stream
    }
    const agent = dialling(new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 }), connect)
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => agent.destroy())
    const [host, port] = [this.#peer, this.#port]
    const hop = {
      host,
      port,
      agent,
      connect,
      presents: port === HTTP_PORT ? 'localhost' : `localhost:${port}`,
      about: { http: 'map' as const, service: this.#service, peer: host },
    }
    this.#http.accept(socket, ({ authority }) => {
      admitHost(authority, DEFAULT_DOMAIN)
      return hop
    })
  }

  /** Idle clients end now, the others after their request. */
  drain(): void {
    this.#http.drain()
  }
}
