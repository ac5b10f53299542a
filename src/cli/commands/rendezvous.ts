/** `pilotgate rendezvous`: the registry and the beacon, for self-hosting. */
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { parseEndpoint } from '../../base/types.ts'
import { idleVariables } from '../../config/variables.ts'
import type { Compat, Strict } from '../../server/registry/options.ts'
import { COMPAT, STRICT } from '../../server/registry/options.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { stopRequests } from '../stop.ts'
import type { RendezvousStart, RunningRendezvous, World } from '../world.ts'
import { readAdminToken } from './admin-token.ts'
import { collect } from './options.ts'
import { addRendezvousAdmin } from './rendezvous-admin.ts'

interface RendezvousFlags {
  readonly registry?: string
  readonly beacon?: string
  readonly store?: string
  readonly http?: string
  readonly wss?: string
  readonly adminTokenFile?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsOnly?: boolean
  readonly requireSignedRegister?: boolean
  readonly beaconId?: string
  readonly beaconPeer?: readonly string[]
  readonly compat?: readonly string[]
  readonly strict?: readonly string[]
}

export function addRendezvous(cli: Cli): void {
  const command = cli
    .add(cli.program, 'rendezvous', 'run a registry and a beacon, where gateways meet', [
      'pilotgate rendezvous --registry 0.0.0.0:9000 --beacon 0.0.0.0:9001 --store /var/lib/pilotgate',
      'pilotgate rendezvous --store ./rv --http 127.0.0.1:9002 --admin-token-file ./token',
      'pilotgate rendezvous nodes --admin-token-file ./token',
    ])
    .option(
      '--registry <ip:port>',
      `TCP address of the registry, TLS and plain (default ${REGISTRY}, env PILOTGATE_REGISTRY)`,
    )
    .option('--beacon <ip:port>', `UDP address of the beacon (default ${BEACON}, env PILOTGATE_BEACON)`)
    .option(
      '--store <dir>',
      'folder for the registrations; without it they are lost when the process ends (env PILOTGATE_STORE)',
    )
    .option(
      '--http <host:port>',
      'status page, health checks and metrics; a port alone means 127.0.0.1 (env PILOTGATE_HTTP)',
    )
    .option(
      '--wss <ip:port>',
      'TLS port for nodes whose network drops UDP, preferably 443: WebSocket and registry (env PILOTGATE_WSS)',
    )
    .option(
      '--admin-token-file <file>',
      'file with the token for managing networks (PILOTGATE_ADMIN_TOKEN holds the token itself)',
    )
    .option('--tls-cert <file>', 'certificate (PEM) to use instead of a generated one')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--tls-only', 'accept only TLS on the registry port')
    .option('--require-signed-register', 'register only nodes that sign (daemons of April 2026 do not)')
    .option('--beacon-id <number>', 'id of this beacon among several')
    .option('--beacon-peer <ip:port>', 'another beacon to share node ids with (repeatable)', collect)
    .option(
      '--compat <name>',
      `a less strict behaviour of the Go registry (repeatable): ${Object.keys(COMPAT).join(', ')}`,
      collect,
    )
    .option('--strict <name>', `refuse what older programs do (repeatable): ${Object.keys(STRICT).join(', ')}`, collect)
    .action(cli.action(async (out, flags: RendezvousFlags) => rendezvous(out, cli.world, flags)))
  addRendezvousAdmin(cli, command)
}

async function rendezvous(out: Output, world: World, flags: RendezvousFlags): Promise<number> {
  const options = await startOptions(flags, world)
  const stops = stopRequests(world)
  const log = (await world.modules.log()).createLogger(out.logLevel('info'), out.logFormat)
  for (const idle of idleVariables(world.env, 'rendezvous')) log.warn(idle, 'this variable changes nothing here')
  const uncontain = world.contain((error) =>
    log.error({ code: 'FAILED', reason: String(error) }, 'an internal error was contained; the rendezvous continues'),
  )
  const { startRendezvous } = await world.modules.rendezvous()
  const server = await startRendezvous({ ...options, log })
  const { registry, beacon, http, wss, fingerprint } = server
  if (options.storeDir === undefined) out.note('registrations are in memory only; use --store DIR to keep them')
  const more = {
    ...(http !== undefined && { http }),
    ...(wss !== undefined && { wss }),
    ...(fingerprint !== undefined && { fingerprint }),
  }
  const lines = [
    `ready    registry ${registry}, beacon ${beacon}${http === undefined ? '' : `, status http://${http}/`}`,
  ]
  if (wss !== undefined) lines.push(`         without UDP: wss://${wss}`)
  if (fingerprint !== undefined) lines.push(`         TLS fingerprint ${fingerprint}`)
  out.event({ event: 'ready', registry, beacon, ...more }, lines.join('\n'))
  const unfollow = world.onReload(() => void reloadCertificate(server, out, log))
  await stops.first
  unfollow()
  await Promise.race([server.stop(), stops.second])
  stops.dispose()
  uncontain()
  return 0
}

/** On SIGHUP. The files may be half renewed: then the certificate in use stays. */
async function reloadCertificate(server: RunningRendezvous, out: Output, log: Logger): Promise<void> {
  try {
    const { fingerprint, changed } = await server.reloadCertificate()
    log.info({ fingerprint, changed }, 'SIGHUP: read the TLS certificate again')
    if (changed) out.event({ event: 'certificate', fingerprint }, `renewed  TLS fingerprint ${fingerprint}`)
  } catch (error) {
    const { code, message } = asPilotError(error)
    log.error({ code, reason: message }, 'the new TLS certificate cannot be used; the old one stays in use')
  }
}

/** Flags over environment. @throws PilotError USAGE. */
async function startOptions(flags: RendezvousFlags, world: World): Promise<Omit<RendezvousStart, 'log'>> {
  const { env } = world
  const storeDir = flags.store ?? (env['PILOTGATE_STORE'] || undefined)
  const http = flags.http ?? (env['PILOTGATE_HTTP'] || undefined)
  const wss = flags.wss ?? (env['PILOTGATE_WSS'] || undefined)
  const adminToken = await readAdminToken(flags.adminTokenFile, world)
  const compat = (flags.compat ?? []).flatMap((names) => names.split(',')).map(checkCompat)
  const strict = (flags.strict ?? []).flatMap((names) => names.split(',')).map(checkStrict)
  const rules = {
    ...(adminToken !== undefined && { adminToken }),
    ...(compat.length > 0 && { compat: new Set(compat) }),
    ...(strict.length > 0 && { strict: new Set(strict) }),
    ...(flags.requireSignedRegister === true && { requireSignedRegister: true }),
  }
  const beaconRules = {
    ...(flags.beaconId !== undefined && { beaconId: checkBeaconId(flags.beaconId) }),
    ...(flags.beaconPeer !== undefined && { peers: flags.beaconPeer.map(checkPeer) }),
  }
  return {
    registry: flags.registry ?? (env['PILOTGATE_REGISTRY'] || REGISTRY),
    beacon: flags.beacon ?? (env['PILOTGATE_BEACON'] || BEACON),
    ...(storeDir !== undefined && { storeDir }),
    ...(http !== undefined && { http: httpAddress(http) }),
    ...(wss !== undefined && { wss }),
    ...(flags.tlsCert !== undefined && { tlsCertFile: flags.tlsCert }),
    ...(flags.tlsKey !== undefined && { tlsKeyFile: flags.tlsKey }),
    ...(flags.tlsOnly === true && { tlsOnly: true }),
    ...(Object.keys(rules).length > 0 && { rules }),
    ...(Object.keys(beaconRules).length > 0 && { beaconRules }),
  }
}

/** The page shows nothing secret, but it is for the operator: beyond loopback, the full address is required. */
function httpAddress(text: string): string {
  const full = /^\d+$/.test(text) ? `127.0.0.1:${text}` : text.replace(/^:(\d+)$/, '127.0.0.1:$1')
  if (parseEndpoint(full) === undefined)
    throw new PilotError(
      'USAGE',
      `--http: "${text}" is not an address to listen on: expected ip:port, such as 127.0.0.1:9002`,
      { http: text },
    )
  return full
}

function checkCompat(name: string): Compat {
  const known = (Object.keys(COMPAT) as Compat[]).find((key) => key === name)
  if (known === undefined)
    throw new PilotError('USAGE', `--compat "${name}": expected one of ${Object.keys(COMPAT).join(', ')}`, {
      compat: name,
    })
  return known
}

function checkStrict(name: string): Strict {
  const known = (Object.keys(STRICT) as Strict[]).find((key) => key === name)
  if (known === undefined)
    throw new PilotError('USAGE', `--strict "${name}": expected one of ${Object.keys(STRICT).join(', ')}`, {
      strict: name,
    })
  return known
}

function checkBeaconId(text: string): number {
  const id = Number(text)
  if (!/^\d{1,10}$/.test(text) || id < 1 || id > 0xffff_ffff)
    throw new PilotError('USAGE', `--beacon-id "${text}": expected a number from 1 to 4294967295`, { beaconId: text })
  return id
}

/** A literal address: it is compared with the source of messages. */
function checkPeer(text: string): { readonly address: string; readonly port: number } {
  const peer = parseEndpoint(text)
  if (peer === undefined || peer.port === 0 || !/^[\d.]+$|:/.test(peer.address))
    throw new PilotError('USAGE', `--beacon-peer "${text}": expected ip:port`, { peer: text })
  return peer
}

const REGISTRY = '127.0.0.1:9000'
const BEACON = '127.0.0.1:9001'
