/** Our node's registration status, in the terms of ../overlay.ts, and its waiters. Above: node.ts. */
import type { Logger } from '../../base/logger.ts'

export class RegistrationStatus {
  readonly #registry: string // host:port, for messages
  readonly #hostname: string | undefined
  readonly #log: Logger
  #state: 'connecting' | 'registered' | 'unreachable' = 'connecting'
  #since = new Date()
  #isLossReported = false
  /** Registered, and the hostname is ours or refused. */
  #isSettled = false
  #refusal: string | undefined
  #waiting: Array<() => void> = []

  constructor(registry: string, hostname: string | undefined, log: Logger) {
    this.#registry = registry
    this.#hostname = hostname
    this.#log = log
  }

  /** The name that we requested, unless the registry refuses it. */
  get hostname(): string | undefined {
    return this.#refusal === undefined ? this.#hostname : undefined
  }
  get isRegistered(): boolean {
    return this.#state === 'registered'
  }
  /** Why the registry refuses the requested hostname. */
  get hostnameRefused(): string | undefined {
    return this.#refusal
  }
  get record(): { endpoint: string; state: 'connecting' | 'registered' | 'unreachable'; since: string } {
    return { endpoint: this.#registry, state: this.#state, since: this.#since.toISOString() }
  }

  /** @returns false if `patienceMs` expires. */
  async whenSettled(patienceMs: number): Promise<boolean> {
    return this.#isSettled || (await this.#wait(patienceMs))
  }

  /**
   * @param hostname the registry's name for us. If it differs from ours, ours has been requested and the answer
   *   follows.
   */
  onRegistered(hostname: string | undefined): void {
    this.#state = 'registered'
    this.#since = new Date()
    this.#isLossReported = false
    if (this.#hostname === undefined || hostname === this.#hostname) this.onHostnameSet()
  }

  onHostnameSet(): void {
    if (this.#refusal !== undefined)
      this.#log.info({ hostname: this.#hostname }, 'the registry has accepted our hostname')
    this.#refusal = undefined
    this.#settle()
  }

  onHostnameRefused(text: string): void {
    this.#refusal = text
    this.#settle()
  }

  onLost(reason: string): void {
    if (this.#state !== 'unreachable') this.#since = new Date()
    this.#state = 'unreachable'
    if (this.#isLossReported) return
    this.#isLossReported = true
    this.#log.warn(
      { registry: this.#registry, reason, code: 'REGISTRY_UNREACHABLE' },
      'cannot reach the registry; retrying. Existing tunnels keep working',
    )
  }

  #wait(patienceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), patienceMs)
      this.#waiting.push(() => {
        clearTimeout(timer)
        resolve(true)
      })
    })
  }

  #settle(): void {
    this.#isSettled = true
    for (const settled of this.#waiting) settled()
    this.#waiting = []
  }
}
