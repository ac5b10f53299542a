/** Names to addresses, where only an address will do. */
import { lookup } from 'node:dns/promises'
import { PilotError } from '../../base/errors.ts'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'

/** UDP needs a literal address. @throws PilotError REGISTRY_UNREACHABLE when the name is unknown. */
export async function literal(endpoint: Endpoint): Promise<Endpoint> {
  if (/^[\d.]+$/.test(endpoint.address) || endpoint.address.includes(':')) return endpoint
  try {
    // IPv4 first: the default socket speaks nothing else, and it is for IPv4 that NATs have to be found out.
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
