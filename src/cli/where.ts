/** Where a mapping can be opened, in words and as a URL. Pure, but for the last two. */
import { isIPv4 } from 'node:net'
import { PilotError } from '../base/errors.ts'
import { isLoopback, parseEndpoint } from '../base/types.ts'
import { parsePort } from '../gateway/model/listen.ts'
import { LOCALHOST } from '../gateway/model/map-spec.ts'
import type { Target } from '../gateway/model/expose-spec.ts'
import type { MappedRecord } from '../gateway/model/records.ts'
import { sideNote } from './output.ts'
import type { World } from './world.ts'

/** The URL of a mapping whose service may speak HTTP: `http://localhost:8080/`. Undefined: it does not. */
export function urlOf({
  local,
  remote,
  protocol,
}: Pick<MappedRecord, 'local' | 'remote' | 'protocol'>): string | undefined {
  const port = Number(remote.slice(remote.lastIndexOf(':') + 1))
  return protocol === 'udp' || local === '' || NEVER_HTTP.has(port)
    ? undefined
    : `http://${reached(local).replace(/:80$/, '')}/`
}

/** `127.0.0.1:8080` as people call it. */
export function reached(local: string): string {
  return local.startsWith(`${LOCALHOST}:`) ? `localhost${local.slice(LOCALHOST.length)}` : local
}

/** Whether other machines can reach it, so that a phone can: then its URL is worth a QR code. */
export function isForOthers(local: string): boolean {
  const address = parseEndpoint(local)?.address ?? ''
  return isIPv4(address) && !isLoopback(address) && address !== '0.0.0.0'
}

/**
 * The local part of a map spec is where we could listen now. Before a ticket is used: it would be lost if its mapping
 * could not be made. @param again the command with another port. @throws PilotError PORT_IN_USE.
 */
export async function checkFree(
  world: World,
  local: string | undefined,
  again: (port: string) => string,
): Promise<void> {
  const [, address = LOCALHOST, written = ''] = /^(?:(.*):)?(\d+)$/.exec(local ?? '') ?? []
  const port = parsePort(written)
  if (port === undefined || (await world.isFree(address.replace(/^\[(.*)\]$/, '$1'), port)) !== false) return
  const next = port < 65_535 ? String(port + 1) : '0'
  throw new PilotError(
    'PORT_IN_USE',
    `something already listens on ${address}:${port}`,
    { local: `${address}:${port}` },
    undefined,
    `Choose another port: \`${again(next)}\`; 0 picks a free one.`,
  )
}

/** The service of a share need not run yet; a person who mistyped its port wants to know. On stderr, as stdout may be a ticket alone. */
export async function noteIfSilent(world: World, target: Target): Promise<void> {
  if (target.kind !== 'tcp') return
  const { host, port } = target
  const addresses = host === 'localhost' ? [LOCALHOST, '::1'] : isLoopback(host) ? [host] : []
  const free = await Promise.all(addresses.map((address) => world.isFree(address, port)))
  if (free[0] !== true || free.includes(false)) return
  sideNote(world, `nothing listens on port ${port} yet; it can be reached as soon as something does`)
}

/** Ports of services that never speak HTTP: a URL for them would be wrong. */
const NEVER_HTTP: ReadonlySet<number> = new Set([
  21, 22, 23, 25, 53, 110, 143, 389, 443, 445, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2049, 3306, 3389, 5222, 5432,
  5672, 5900, 6379, 8883, 9042, 11_211, 27_017,
])
