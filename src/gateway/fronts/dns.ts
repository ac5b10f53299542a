/** The DNS responder: UDP and TCP on one address. Above: gateway.ts. Below: dns-answers.ts. */
import type { RemoteInfo } from 'node:dgram'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { formatEndpoint } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import { listenError } from '../../runtime/net/listen-error.ts'
import { answerQuestion } from './dns-answers.ts'
import type { Zone } from './dns-answers.ts'
import { checkLoopback } from '../model/listen.ts'
import { UdpListener } from '../service/udp-listener.ts'
import type { Via } from '../service/udp-listener.ts'

export class DnsResponder {
  readonly #zone: Zone
  readonly #log: Logger
  readonly counters: ReturnType<typeof dnsCounters>
  #udp: UdpListener | undefined
  #tcp: Server | undefined
  readonly #clients = new Set<Socket>()
  #pending = 0
  local = ''

  constructor(zone: Zone, log: Logger, counters = dnsCounters()) {
    this.counters = counters
    this.#zone = zone
    this.#log = log
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start(
    { address, port }: { readonly address: string; readonly port: number },
    allowLan: boolean,
  ): Promise<void> {
    checkLoopback(address, allowLan, 'dns')
    for (let tries = 1; ; tries++) {
      const bound = await this.#bindTcp(address, port)
      try {
        await this.#bindUdp(address, bound)
        this.local = formatEndpoint({ address, port: bound })
        return
      } catch (error) {
        this.#tcp?.close()
        if (port !== 0 || tries >= MAX_TRIES) throw error // a free TCP port is not necessarily a free UDP port
      }
    }
  }

  stop(): void {
    this.#udp?.close()
    this.#udp = undefined
    this.#tcp?.close()
    for (const client of this.#clients) client.destroy()
  }

  #bindTcp(address: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => this.#onTcpClient(socket))
      server.maxConnections = MAX_TCP_CLIENTS
      server.once('error', (error) => reject(listenError(error, 'dns', formatEndpoint({ address, port }))))
      server.listen({ host: address, port }, () => {
        server
          .removeAllListeners('error')
          .on('error', (error) => this.#log.warn({ reason: error.message }, 'a DNS client could not be accepted'))
        this.#tcp = server
        resolve((server.address() as AddressInfo).port)
      })
    })
  }

  async #bindUdp(address: string, port: number): Promise<void> {
    const attendant = {
      onDatagram: (bytes: Buffer, from: RemoteInfo, via: Via) => this.#onUdp(bytes, from, via),
      onError: (error: Error) => this.#log.debug({ reason: error.message }, 'a DNS answer could not be sent'),
    }
    this.#udp = await UdpListener.bind({ address, port }, attendant, { service: 'dns' })
  }

  #onUdp(bytes: Uint8Array, from: RemoteInfo, via: Via): void {
    this.#answer(bytes, UDP_BYTES, (answer) => via.send(answer, from.port, from.address))
  }

  /** Two bytes of length before each message (RFC 1035 §4.2.2); queries may be pipelined. */
  #onTcpClient(socket: Socket): void {
    let waiting: Buffer = Buffer.alloc(0)
    this.#clients.add(socket)
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
    socket.on('error', () => {}).once('close', () => this.#clients.delete(socket))
    socket.on('data', (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes])
      while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
        const length = waiting.readUInt16BE(0)
        const question = waiting.subarray(2, 2 + length)
        waiting = waiting.subarray(2 + length)
        const isQuestion = this.#answer(question, TCP_BYTES, (answer) => {
          const prefix = Buffer.alloc(2)
          prefix.writeUInt16BE(answer.length)
          if (socket.destroyed || socket.write(Buffer.concat([prefix, answer])) || socket.isPaused()) return
          socket.pause() // a client that does not read its answers may not ask more
          socket.once('drain', () => socket.resume())
        })
        if (!isQuestion) return void socket.destroy()
      }
    })
  }

  /** @returns false if it is dropped unread. */
  #answer(bytes: Uint8Array, limit: number, send: (answer: Uint8Array) => void): boolean {
    if (this.#pending >= MAX_PENDING) {
      this.counters.dns_dropped += 1
      return false
    }
    this.#pending += 1
    answerQuestion(this.#zone, bytes, limit)
      .then((answer) => {
        if (answer === undefined) this.counters.dns_malformed += 1
        else {
          this.counters.dns_questions += 1
          send(answer)
        }
      })
      .catch((error: unknown) => {
        this.counters.dns_malformed += 1 // it was parsed, but cannot be encoded again
        this.#log.debug({ reason: String(error) }, 'a DNS question was dropped')
      })
      .finally(() => {
        this.#pending -= 1
      })
    return true
  }
}

export function dnsCounters(): { dns_questions: number; dns_malformed: number; dns_dropped: number } {
  return { dns_questions: 0, dns_malformed: 0, dns_dropped: 0 }
}

/** RFC 1035 §4.2.1, unless the query names another size. */
const UDP_BYTES = 512
const TCP_BYTES = 65_535
const TCP_IDLE_MS = 10_000
const MAX_TCP_CLIENTS = 64
/** Queries that wait for the registry; the client repeats a dropped one. */
const MAX_PENDING = 1_024
const MAX_TRIES = 10
