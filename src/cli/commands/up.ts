/** `pilotgate up`: the gateway itself. Starts it, opens the admin socket, tells what happens, and ends it gracefully. */
import type { ExposedRecord, GatewayEvent, MappedRecord } from '../../gateway/types.ts'
import { PilotError } from '../../base/errors.ts'
import { loadConfig } from '../../config/load.ts'
import { resolveOptions, type Flags } from '../../config/options.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { stopRequests } from '../stop.ts'
import { formatNode, formatRtt } from '../text.ts'
import type { RunningGateway, World } from '../world.ts'

interface UpOptions extends Flags {
  readonly config?: string
  readonly observe?: string
}

export function addUp (cli: Cli): void {
  cli.add(cli.program, 'up', 'run a gateway until it is told to stop', [
    'pilotgate up --hostname agent-a --trust agent-b --map 8080:agent-b:80',
    'pilotgate up --hostname agent-b --trust agent-a --expose 80=127.0.0.1:3000,allow=agent-a',
    'pilotgate up -c gateway.yaml --json',
    'pilotgate up --daemon /tmp/pilot.sock --map 8080:0:0000.0000.0004:80',
  ])
    .option('-c, --config <file>', 'configuration file; flags and PILOTGATE_… variables win over it')
    .option('--registry <host:port>', 'registry to join (default 127.0.0.1:9000); tls://host:port for TLS')
    .option('--registry-fingerprint <hex>', 'SHA-256 of its TLS certificate: TLS with this one only')
    .option('--beacon <host:port>', 'beacon to use (default 127.0.0.1:9001)')
    .option('--listen <ip:port>', 'UDP socket of this node (default 0.0.0.0:0)')
    .option('--endpoint <ip:port>', 'our public address, where it is fixed and known')
    .option('--hostname <name>', 'name under which trusted peers find this node')
    .option('--public', 'let everybody resolve where this node is')
    .option('--state-dir <dir>', 'folder for what is kept between runs')
    .option('--identity <file>', 'private key of this node; made when absent')
    .option('--trust <peer>', 'ask this peer for trust and approve its request (repeatable)', collect)
    .option('--map <spec>', '[[BIND-IP:]LOCAL-PORT:]PEER:PORT[/udp]: make a remote port local (repeatable)', collect)
    .option('--expose <spec>', 'PORT[/udp]=TARGET[,allow=WHO]...[,max=N][,for=2h][,once]: offer a local service (repeatable)', collect)
    .option('--admin <socket>', 'Unix socket for the other commands (default admin.sock in the state folder)')
    .option('--daemon <socket>', 'use a pilot daemon that runs already, its identity and trust, instead of a node of our own')
    .option('--allow-lan', 'allow --map, proxy and dns to listen beyond loopback')
    .addOption(cli.program.createOption('--observe <host:port>').hideHelp())
    .action(cli.action(async (out, options: UpOptions) => up(out, cli.world, options)))
}

async function up (out: Output, world: World, flags: UpOptions): Promise<number> {
  if (flags.observe !== undefined) throw new PilotError('USAGE', '--observe is not in this version')
  const file = flags.config ?? world.env['PILOTGATE_CONFIG']
  const options = resolveOptions({ flags, env: world.env, file: file === undefined || file === '' ? undefined : await loadConfig(file) })
  const stops = stopRequests(world) // from here on a signal ends things properly, also while they start
  const { createLogger } = await world.modules.log()
  const log = createLogger(out.logLevel('info'))
  const { makeRoom, startAdmin } = await world.modules.admin()
  await makeRoom(options.adminSocket)
  const { startGateway } = await world.modules.gateway()
  const starting = startGateway(options, { log, version: world.version, onEvent: (event) => out.event(event, eventLine(event)) })
  const gateway = await Promise.race([starting, stops.first.then(() => undefined)])
  if (gateway === undefined) { // told to stop before it was up
    await Promise.race([starting.then((late) => late.stop(0)), after(LAST_WORDS_MS)])
    return 0
  }
  try {
    const admin = await startAdmin({ socketPath: options.adminSocket, control: gateway, log })
    const ready = gateway.ready()
    out.event(ready, eventLine(ready))
    const signal = await stops.first
    log.info({ signal, graceMs: GRACE_MS }, 'draining: no new connections; the open ones may end by themselves')
    out.note(`draining for up to ${GRACE_MS / 1000} s; once more to stop at once`)
    await stop(gateway, stops.second)
    await admin.stop() // last, so that `status` can be asked while connections end
  } catch (error) {
    await gateway.stop(0)
    throw error
  } finally {
    stops.dispose()
  }
  return 0
}

async function stop (gateway: RunningGateway, atOnce: Promise<void>): Promise<void> {
  const graceful = gateway.stop(GRACE_MS)
  const second = atOnce.then(() => 'second' as const)
  if (await Promise.race([graceful, second]) === 'second') await Promise.race([gateway.stop(0), after(LAST_WORDS_MS)])
}

function after (ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms).unref() })
}

export function eventLine (event: GatewayEvent): string {
  switch (event.event) {
    case 'mapped': return `mapped   ${mappedLine(event)}`
    case 'exposed': return `exposed  ${exposedLine(event)}`
    case 'unmapped': return `unmapped ${mappedLine(event)}`
    case 'unexposed': return `closed   ${exposedLine(event)}`
    case 'reloaded': return `reloaded configuration ${event.version}`
    case 'ready': return `ready    ${formatNode(event.node)},${event.udp === null ? '' : ` udp ${event.udp},`} admin ${event.admin}, after ${Math.round(event.elapsedMs)} ms`
    case 'trust': return `trust    ${event.peer} (node ${event.nodeId}): ${event.state}`
    case 'message': return `message  ${event.peer} (node ${event.nodeId}): ${event.type}, ${event.bytes} bytes, kept in ${event.path}`
    case 'path': return `path     ${event.peer} (node ${event.nodeId}): ${event.kind} ${event.endpoint}${event.rttMs === null ? '' : `, ${formatRtt(event.rttMs)}`}`
  }
}

function mappedLine ({ local, peer, remote }: MappedRecord): string {
  return `${local} → ${remote.startsWith(`${peer}:`) ? remote : `${peer}, ${remote}`}`
}

function exposedLine ({ port, target, allow }: ExposedRecord): string {
  return `port ${port} → ${target} for ${allow.map((peer) => peer === 'trusted' ? 'every trusted peer' : peer).join(', ')}`
}

function collect (value: string, before: readonly string[] | undefined): readonly string[] {
  return [...before ?? [], value]
}

const GRACE_MS = 10_000
const LAST_WORDS_MS = 500 // for resets to leave after a second signal
