/**
 * UDP has no connections, so they are made up: whoever speaks has a session until it has been silent for a while.
 * Above: map/udp.ts, expose/udp.ts, socks-udp.ts. One sweep for the whole table: no timer per packet, nor per session.
 */

/** What a table needs of a session; `close` frees its sockets and ports, once. */
export interface UdpSession {
  usedAt: number // ms, monotonic; of the last datagram either way
  close(): void
}

export class UdpSessionTable<S extends UdpSession> {
  readonly #sessions = new Map<string, S>()
  readonly #limit: number
  #sweeper: NodeJS.Timeout | undefined

  constructor(limit: number = MAX_UDP_SESSIONS) {
    this.#limit = limit
  }

  get size(): number {
    return this.#sessions.size
  }
  get isFull(): boolean {
    return this.#sessions.size >= this.#limit
  }
  get(key: string): S | undefined {
    return this.#sessions.get(key)
  }

  /** The caller has looked at `isFull`: a stranger's flood must not end the sessions of others, so the newcomer waits. */
  add(key: string, session: S): void {
    this.#sessions.set(key, session)
    this.#sweeper ??= setInterval(() => this.sweep(performance.now()), SWEEP_MS).unref()
  }

  /** Only this very session: another may have taken its place. */
  remove(key: string, session: S): void {
    if (this.#sessions.get(key) !== session) return
    this.#sessions.delete(key)
    session.close()
    if (this.#sessions.size === 0) this.#rest()
  }

  sweep(now: number): void {
    for (const [key, session] of this.#sessions) if (now - session.usedAt >= UDP_IDLE_MS) this.remove(key, session)
  }

  clear(): void {
    for (const [key, session] of this.#sessions) this.remove(key, session)
    this.#rest()
  }

  #rest(): void {
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}

/** RFC 4787 REQ-5 asks of a NAT two minutes at least; programs that want less sleep send keepalives below that. */
export const UDP_IDLE_MS = 120_000
const SWEEP_MS = 5_000
/** Sessions of one mapping or exposure: each holds an overlay port or a local socket. A further one is dropped and counted. */
export const MAX_UDP_SESSIONS = 1_024
/** Datagrams that wait while a session is being opened; a client that gets no answer sends again. */
export const MAX_UDP_WAITING = 64
/** What a burst may fill while the process is busy elsewhere, bytes: asked for, the system may give less. */
export const UDP_BUFFER_BYTES = 4 * 1024 * 1024
