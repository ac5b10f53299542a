/** Our node's registration status, in the terms of ../overlay.ts, and its waiters. Above: node.ts. */
import type { Logger } from '../../base/logger.ts'
import type { RegistryFault } from '../net/registry-fault.ts'
import type { OverlayStatus } from '../overlay.ts'

export class RegistrationStatus {
  readonly #registry: string // host:port, for messages
  #hostname: string | undefined
  readonly #log: Logger
  #state: 'connecting' | 'registered' | 'unreachable' = 'connecting'
  #since = new Date()
  /** Of the last loss; the same one is reported once. */
  #fault: RegistryFault | undefined
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
  get record(): NonNullable<OverlayStatus['registry']> {
    return {
      endpoint: this.#registry,
      state: this.#state,
      since: this.#since.toISOString(),
      ...(this.#fault !== undefined && this.#fault),
    }
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
    this.#fault = undefined
    if (this.#hostname === undefined || hostname === this.#hostname) this.onHostnameSet(this.#hostname)
  }

  /** @param hostname ours from now on, by our own or a driver's request. */
  onHostnameSet(hostname: string | undefined): void {
    this.#hostname = hostname
    if (this.#refusal !== undefined)
      this.#log.info({ hostname: this.#hostname }, 'the registry has accepted our hostname')
    this.#refusal = undefined
    this.#settle()
  }

  onHostnameRefused(text: string): void {
    this.#refusal = text
    this.#settle()
  }

  onLost(fault: RegistryFault): void {
    if (this.#state !== 'unreachable') this.#since = new Date()
    this.#state = 'unreachable'
    const isNews = this.#fault?.code !== fault.code
    this.#fault = fault
    if (!isNews) return
    const about = { registry: this.#registry, ...fault }
    // A certificate other than the pinned one may be an attack: nothing was sent, and someone has to look.
    if (fault.code === 'REGISTRY_PIN_MISMATCH')
      this.#log.error(about, 'the registry is not the one that was pinned; nothing was sent to it. Retrying')
    else this.#log.warn(about, 'cannot reach the registry; retrying. Existing tunnels keep working')
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
