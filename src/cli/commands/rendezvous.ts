/** `pilotgate rendezvous`: the registry and the beacon, for self-hosting. */
import { PilotError } from '../../base/errors.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { stopRequests } from '../stop.ts'
import type { World } from '../world.ts'

interface RendezvousOptions {
  readonly registry?: string
  readonly beacon?: string
  readonly store?: string
  readonly http?: string
}

export function addRendezvous (cli: Cli): void {
  cli.add(cli.program, 'rendezvous', 'run the registry and the beacon that gateways meet at', ['pilotgate rendezvous --registry 0.0.0.0:9000 --beacon 0.0.0.0:9001 --store /var/lib/pilotgate'])
    .option('--registry <ip:port>', `TCP address of the registry (default ${REGISTRY}, env PILOTGATE_REGISTRY)`)
    .option('--beacon <ip:port>', `UDP address of the beacon (default ${BEACON}, env PILOTGATE_BEACON)`)
    .option('--store <dir>', 'folder that keeps who is registered; without it all is forgotten at the end (env PILOTGATE_STORE)')
    .addOption(cli.program.createOption('--http <host:port>').hideHelp())
    .action(cli.action(async (out, options: RendezvousOptions) => rendezvous(out, cli.world, options)))
}

async function rendezvous (out: Output, world: World, options: RendezvousOptions): Promise<number> {
  if (options.http !== undefined) throw new PilotError('USAGE', '--http is not in this version')
  const { env } = world
  const storeDir = options.store ?? (env['PILOTGATE_STORE'] || undefined)
  const stops = stopRequests(world)
  const log = (await world.modules.log()).createLogger(out.logLevel('info'))
  const { startRendezvous } = await world.modules.rendezvous()
  const server = await startRendezvous({
    registry: options.registry ?? (env['PILOTGATE_REGISTRY'] || REGISTRY),
    beacon: options.beacon ?? (env['PILOTGATE_BEACON'] || BEACON),
    ...storeDir === undefined ? {} : { storeDir },
    log,
  })
  const { registry, beacon } = server
  if (storeDir === undefined) out.note('registrations are kept in memory only; --store DIR keeps them')
  out.event({ event: 'ready', registry, beacon }, `ready    registry ${registry}, beacon ${beacon}`)
  await stops.first
  await Promise.race([server.stop(), stops.second])
  stops.dispose()
  return 0
}

const REGISTRY = '127.0.0.1:9000'
const BEACON = '127.0.0.1:9001'
