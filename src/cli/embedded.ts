/**
 * A rendezvous in a gateway's process, for tickets when there is no other. It keeps its certificate, its nodes and its
 * ports in the state folder, so that nodes that used a ticket reconnect after a restart.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isIPv4 } from 'node:net'
import { PilotError } from '../base/errors.ts'
import { interfaceAddresses } from '../runtime/net/interfaces.ts'
import { parseEndpoint } from '../base/types.ts'
import { writeFileAtomically } from '../runtime/files/atomic.ts'
import type { Logger } from '../base/logger.ts'
import type { RunningRendezvous, World } from './world.ts'

/** @param address where it listens: loopback, or an IPv4 address of this machine. */
export async function startEmbedded(
  world: World,
  stateDir: string,
  address: string,
  log: Logger,
): Promise<RunningRendezvous> {
  const storeDir = join(stateDir, 'rendezvous')
  const file = join(stateDir, 'rendezvous.json')
  const { startRendezvous } = await world.modules.rendezvous()
  const start = (registry: number, beacon: number): Promise<RunningRendezvous> =>
    startRendezvous({
      registry: `${address}:${registry}`,
      beacon: `${address}:${beacon}`,
      storeDir,
      isEmbedded: true,
      log,
    })
  const before = await lastPorts(file)
  const server = await start(before?.registry ?? 0, before?.beacon ?? 0).catch(async (error: unknown) => {
    if (before === undefined || !(error instanceof PilotError) || error.code !== 'PORT_IN_USE') throw error
    log.warn(
      { ...before },
      'a port of the rendezvous is in use by another program: other ports were chosen, and nodes that joined with earlier tickets need new ones',
    )
    return await start(0, 0)
  })
  const ports = { registry: parseEndpoint(server.registry)!.port, beacon: parseEndpoint(server.beacon)!.port }
  await writeFileAtomically(file, `${JSON.stringify(ports)}\n`)
  return server
}

/** Loopback, unless the LAN is requested. @throws PilotError USAGE. */
export function embeddedAddress({ lan, lanAddress }: LanOptions): string {
  if (lanAddress !== undefined) {
    if (isIPv4(lanAddress) && lanAddress !== '0.0.0.0') return lanAddress
    throw new PilotError(
      'USAGE',
      `--lan-address "${lanAddress}": expected an IPv4 address of this machine that the other side can reach`,
      { lanAddress },
    )
  }
  if (lan !== true) return '127.0.0.1'
  const addresses = [
    ...new Set(
      interfaceAddresses()
        .filter(({ address, internal }) => isIPv4(address) && !internal)
        .map(({ address }) => address),
    ),
  ]
  if (addresses.length === 1) return addresses[0]!
  throw new PilotError(
    'USAGE',
    addresses.length === 0
      ? '--lan: this machine has only loopback addresses'
      : `--lan: this machine has several addresses: ${addresses.join(', ')}`,
    { addresses },
    undefined,
    addresses.length === 0 ? 'Connect it to a network, or leave out --lan.' : 'Choose one with --lan-address.',
  )
}

export interface LanOptions {
  readonly lan?: boolean | undefined
  readonly lanAddress?: string | undefined
}

async function lastPorts(file: string): Promise<{ readonly registry: number; readonly beacon: number } | undefined> {
  try {
    const { registry, beacon } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    return isPort(registry) && isPort(beacon) ? { registry, beacon } : undefined
  } catch {
    return undefined // the first start, or an unreadable file: any free ports
  }
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536
}
