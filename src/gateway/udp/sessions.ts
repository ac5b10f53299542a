/**
 * UDP has no connections, so sessions replace them: a sender has a session until it has been silent for a while. Above:
 * map/udp.ts, expose/udp.ts, socks-udp.ts. One sweep for the whole table: no timer per packet, nor per session.
 */

/** What a table needs from a session; `close` frees its sockets and ports, once. */
export interface UdpSession {
  usedAt: number // ms, monotonic; of the last datagram either way
  answered: boolean // something came back: most single-request sessions are then done
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
  get(key: string): S | undefined {
    return this.#sessions.get(key)
  }

  /**
   * A full table evicts the session that has been silent longest, answered ones first, as in a NAT. @param isKin
   * sessions of the same sender: if there are any, one of these is evicted, so that no sender can displace others by
   * opening more sessions.
   */
  add(key: string, session: S, isKin?: (other: S) => boolean): void {
    if (this.#sessions.size >= this.#limit) this.#makeRoom(isKin)
    this.#sessions.set(key, session)
    this.#sweeper ??= setInterval(() => this.sweep(performance.now()), SWEEP_MS).unref()
  }

  /** Only this session: another may have replaced it. */
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

  /** Scans all sessions: a microsecond or two, far less than opening a new one. */
  #makeRoom(isKin: (other: S) => boolean = () => true): void {
    let best: [string, S] | undefined
    let bestRank = -1
    for (const entry of this.#sessions) {
      const [, session] = entry
      const rank = (isKin(session) ? 2 : 0) + (session.answered ? 1 : 0)
      if (best !== undefined && (rank < bestRank || (rank === bestRank && session.usedAt >= best[1].usedAt))) continue
      best = entry
      bestRank = rank
    }
    if (best !== undefined) this.remove(...best)
  }

  #rest(): void {
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}

/** RFC 4787 REQ-5 requires at least two minutes of a NAT; programs send keepalives more often than that. */
export const UDP_IDLE_MS = 120_000
const SWEEP_MS = 5_000
/**
 * Sessions of one mapping or exposure: each holds an overlay port or a local socket. A further one ends the stalest.
 */
export const MAX_UDP_SESSIONS = 1_024
/** Datagrams that wait while a session is being opened; a client that gets no answer sends again. */
export const MAX_UDP_WAITING = 64
/** Kernel buffer for bursts while the process is busy, bytes; the system may grant less. */
export const UDP_BUFFER_BYTES = 4 * 1024 * 1024
