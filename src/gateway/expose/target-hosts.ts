/** The permitted addresses of an exposure's target: the owner of a DNS zone can point a name anywhere. */
import type { HostAddresses } from '../../runtime/net/host-addresses.ts'
import type { ExposeSpec } from '../model/expose-spec.ts'
import { isUnsafeAddress } from '../model/unsafe-target.ts'

export interface TargetHosts {
  /** In the order in which to try them; never empty. Rejects with the system's error, or if none is permitted. */
  of(host: string): readonly string[] | Promise<readonly string[]>
  forget(host: string): void
}

export function targetHosts({ unsafeTarget }: Pick<ExposeSpec, 'unsafeTarget'>, hosts: HostAddresses): TargetHosts {
  if (unsafeTarget === true) return hosts
  return {
    of: (host) => {
      const found = hosts.of(host)
      return Array.isArray(found) ? allowed(host, found as readonly string[]) : allowedLater(host, found)
    },
    forget: (host) => hosts.forget(host),
  }
}

async function allowedLater(
  host: string,
  found: readonly string[] | Promise<readonly string[]>,
): Promise<readonly string[]> {
  return allowed(host, await found)
}

function allowed(host: string, addresses: readonly string[]): readonly string[] {
  if (!addresses.some(isUnsafeAddress)) return addresses
  const rest = addresses.filter((address) => !isUnsafeAddress(address))
  if (rest.length > 0) return rest
  throw new Error(`${host} is at ${addresses.join(', ')}, which an exposure reaches only with unsafe-target`)
}
