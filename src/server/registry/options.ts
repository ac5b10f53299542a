/** What an operator may decide. The defaults are safe and keep April 2026 Go daemons working. */
import type { RateLimits } from './rate-limiter.ts'
import { DEFAULT_RATE_LIMITS } from './rate-limiter.ts'

export interface RegistryOptions {
  /**
   * Refuse every registration without a valid signature. Default false: Go daemons of April 2026 never sign.
   * A key that was ever registered with a signature needs one for ever after, whatever this says: that protects
   * pilotgates, and costs a Go node nothing.
   */
  readonly requireSignedRegister: boolean

  /**
   * Let an unknown key take over the node of a known `owner` e-mail address (registry.md §3.1, cases 3 and 4).
   * Default false: an address is no secret, so it is no proof either. Go daemons that keep no identity file get a
   * new node id at each start without it. An account that ever signed cannot be taken over in any case.
   */
  readonly allowOwnerTakeover: boolean

  /**
   * Believe an unsigned `requester_id` in resolve_hostname, as the reference does. Default false: a claimed id would
   * open every private name to everyone.
   */
  readonly allowUnsignedResolve: boolean

  /**
   * Count a trust pair as effective when one side asserted it, as the reference does. Default false. One flow of Go
   * daemons needs it: a request made directly over port 444 and accepted by relay, where only the accepting side reports.
   */
  readonly compatOneSidedTrust: boolean

  readonly limits: RateLimits
}

export const DEFAULT_REGISTRY_OPTIONS: RegistryOptions = {
  requireSignedRegister: false,
  allowOwnerTakeover: false,
  allowUnsignedResolve: false,
  compatOneSidedTrust: false,
  limits: DEFAULT_RATE_LIMITS,
}
