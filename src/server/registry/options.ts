/** The operator's options. The defaults are safe and keep April 2026 Go daemons working. */
import type { RateLimits } from './rate-limiter.ts'
import { DEFAULT_RATE_LIMITS } from './rate-limiter.ts'

/**
 * Behaviours of the reference that ours has only on request, each with what it allows (registry.md, weaknesses).
 * docs/rendezvous.md has the same table, and who needs which.
 */
export const COMPAT = {
  'owner-recovery': 'an unknown key takes over the node of a known owner e-mail address',
  'one-sided-trust': 'one side alone can create a trust pair',
  'unsigned-roles': 'anyone who names the id of an owner or admin manages its networks',
  'unsigned-scores': "anyone sets anyone's polo score",
  'unsigned-requester': 'resolve_hostname believes the id that the requester claims',
  'private-hostnames': 'lookup and list_nodes show the hostnames of private nodes to anyone',
  'open-trust': 'check_trust tells anyone who trusts whom',
  'old-signatures': 'a key that has signed sessions may also sign single requests, as before',
  'open-beacons': 'anyone announces beacons, which daemons then use',
  'split-addresses': 'the beacon believes a node whose UDP comes from a different address than its TCP',
} as const

export type Compat = keyof typeof COMPAT

/** What the operator may demand beyond the defaults, each with what it refuses. Upstream's programs do not do all of this. */
export const STRICT = {
  directory: 'look-ups of private nodes, and lists of members, without a signature of a node that may know',
  heartbeats: 'heartbeats without a time',
} as const

export type Strict = keyof typeof STRICT

export interface RegistryOptions {
  /** The token for administration; undefined: there is none, and no network can be created. */
  readonly adminToken: string | undefined

  readonly compat: ReadonlySet<Compat>
  readonly strict: ReadonlySet<Strict>

  /**
   * Refuse every registration without a valid signature. Default false: Go daemons of April 2026 never sign. A key that
   * ever registered with a signature always needs one, regardless of this option: this protects pilotgates at no cost
   * to Go nodes.
   */
  readonly requireSignedRegister: boolean

  readonly limits: RateLimits
}

export const DEFAULT_REGISTRY_OPTIONS: RegistryOptions = {
  adminToken: undefined,
  compat: new Set(),
  strict: new Set(),
  requireSignedRegister: false,
  limits: DEFAULT_RATE_LIMITS,
}
