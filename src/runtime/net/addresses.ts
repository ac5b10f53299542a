/** Resolves names where an address is required. */
import { lookup } from 'node:dns/promises'
import { PilotError } from '../../base/errors.ts'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'

/** UDP needs a literal address. @throws PilotError REGISTRY_UNREACHABLE if the name is unknown. */
export async function literal(endpoint: Endpoint): Promise<Endpoint> {
  if (/^[\d.]+$/.test(endpoint.address) || endpoint.address.includes(':')) return endpoint
  try {
    // IPv4 first: the default socket supports only IPv4, and NAT detection concerns IPv4.
    const found = await lookup(endpoint.address, { family: 4 }).catch(() => lookup(endpoint.address))
    return { address: found.address, port: endpoint.port }
  } catch (error) {
    throw new PilotError(
      'REGISTRY_UNREACHABLE',
      `--beacon ${formatEndpoint(endpoint)}: the name does not resolve`,
      {},
      error,
    )
  }
}
