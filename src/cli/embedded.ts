/**
 * A rendezvous in the process of a gateway, for tickets where there is no other. It keeps its certificate, its nodes and
 * its ports in the state folder, so that whoever has been let in finds his way back after a restart.
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
    startRendezvous({ registry: `${address}:${registry}`, beacon: `${address}:${beacon}`, storeDir, log })
  const before = await lastPorts(file)
  const server = await start(before?.registry ?? 0, before?.beacon ?? 0).catch(async (error: unknown) => {
    if (before === undefined || !(error instanceof PilotError) || error.code !== 'PORT_IN_USE') throw error
    log.warn(
      { ...before },
      'a port that the rendezvous had is taken: it gets others, and nodes that came by earlier tickets need new ones',
    )
    return await start(0, 0)
  })
  const ports = { registry: parseEndpoint(server.registry)!.port, beacon: parseEndpoint(server.beacon)!.port }
  await writeFileAtomically(file, `${JSON.stringify(ports)}\n`)
  return server
}

/** `--lan` alone (true, or '' before a port), or with the address to use. @throws PilotError USAGE. */
export function embeddedAddress(lan: string | boolean | undefined): string {
  if (lan === undefined || lan === false) return '127.0.0.1'
  if (typeof lan === 'string' && lan !== '') {
    if (isIPv4(lan) && lan !== '0.0.0.0') return lan
    throw new PilotError(
      'USAGE',
      `--lan "${lan}": expected an IPv4 address of this machine that the other side can reach`,
      { lan },
    )
  }
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
      ? '--lan: this machine has no address but loopback'
      : `--lan: this machine has several addresses; say which: ${addresses.map((found) => `--lan ${found}`).join(', ')}`,
    { addresses },
  )
}

async function lastPorts(file: string): Promise<{ readonly registry: number; readonly beacon: number } | undefined> {
  try {
    const { registry, beacon } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    return isPort(registry) && isPort(beacon) ? { registry, beacon } : undefined
  } catch {
    return undefined // the first time, or a file that says nothing: free ports then
  }
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536
}
