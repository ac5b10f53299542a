/**
 * The permitted addresses of an exposure's target. The owner of a DNS zone can point a name anywhere, and anyone who may
 * write to a folder can replace a socket there with a link.
 */
import { realpath } from 'node:fs/promises'
import type { HostAddresses } from '../../runtime/net/host-addresses.ts'
import type { ExposeSpec } from '../model/expose-spec.ts'
import { MAX_SOCKET_PATH_BYTES } from '../model/listen.ts'
import { isControlSocket, isUnsafeAddress } from '../model/unsafe-target.ts'

export interface TargetHosts {
  /** In the order in which to try them; never empty. Rejects with the system's error, or if none is permitted. */
  of(host: string): readonly string[] | Promise<readonly string[]>
  forget(host: string): void
  /** The path to connect to. Rejects when links lead to a socket that is not allowed. Absent: every socket is. */
  socketAt?(path: string): Promise<string>
}

export function targetHosts({ unsafeTarget }: Pick<ExposeSpec, 'unsafeTarget'>, hosts: HostAddresses): TargetHosts {
  if (unsafeTarget === true) return hosts
  return {
    of: (host) => {
      const found = hosts.of(host)
      return Array.isArray(found) ? allowed(host, found as readonly string[]) : allowedLater(host, found)
    },
    forget: (host) => hosts.forget(host),
    socketAt,
  }
}

/** The socket itself, so that the links cannot be changed between the check and the connection. */
async function socketAt(path: string): Promise<string> {
  const real = await realpath(path).catch(() => path) // what is missing is for the connection to report
  if (isControlSocket(real)) throw new Error(`${path} is ${real}, which an exposure reaches only with unsafe-target`)
  return Buffer.byteLength(real) <= MAX_SOCKET_PATH_BYTES ? real : path
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
