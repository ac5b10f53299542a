/** Which paths a service may use. */

/**
 * any: whatever works. prefer-direct: waits briefly for a direct path before using the relay. direct: never the relay.
 */
export type PathPolicy = 'any' | 'prefer-direct' | 'direct'

export function parsePathPolicy(text: string): PathPolicy | undefined {
  return PATH_POLICIES.find((policy) => policy === text)
}

export const PATH_POLICIES = ['any', 'prefer-direct', 'direct'] as const satisfies readonly PathPolicy[]

export const PATH_FORM = 'any, prefer-direct or direct'

export const NO_DIRECT_UDP =
  'path=direct cannot be combined with /udp: a datagram uses whichever path the peer has at that moment'
