/** HTTP on a connection, whichever version its client speaks. Above: front.ts, exposed.ts, mapped.ts. */
import type { Duplex } from 'node:stream'
import type { AccessLog } from './access-log.ts'
import type { Route } from './hop.ts'
import { Http1 } from './http1.ts'
import { Http2 } from './http2.ts'
import { sniff } from './sniff.ts'

export class HttpVersions {
  readonly #http1: Http1
  readonly #http2: Http2

  /** @param mayUpgrade as in http1.ts. */
  constructor(access: AccessLog, mayUpgrade: (protocol: string) => boolean) {
    this.#http1 = new Http1(access, mayUpgrade)
    this.#http2 = new Http2(access)
  }

  accept(socket: Duplex, route: Route): void {
    sniff(socket, (version) => (version === 2 ? this.#http2 : this.#http1).accept(socket, route))
  }

  /** Closes an idle connection of HTTP/1, as the service did with its counterpart. */
  closeIdle(socket: Duplex): void {
    this.#http1.closeIdle(socket)
  }

  /** Idle connections are closed now, the others after their request. */
  drain(): void {
    this.#http1.drain()
    this.#http2.drain()
  }
}
