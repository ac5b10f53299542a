/**
 * The main use case, self-contained: a rendezvous, agent-b exposing two sample services, agent-a mapping them, all in
 * this process on loopback. The state is in a temporary folder and every port is a free one: nothing is left behind,
 * nothing collides.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { LiveConfig, adminControl } from '../../config/live.ts'
import { PilotError, asPilotError } from '../../base/errors.ts'
import type { GatewayEvent } from '../../gateway/model/events.ts'
import type { Flags } from '../../config/flags.ts'
import { resolveOptions } from '../../config/options.ts'
import type { Output } from '../output.ts'
import { stopRequests } from '../stop.ts'
import type { Logger } from '../../base/logger.ts'
import { packageFile } from '../../runtime/files/package-file.ts'
import type { ServedGateway, World } from '../world.ts'
import { checksOf, type Checked } from './check.ts'
import { GRPC_PACKAGE, hasGrpc, startGrpcSample } from './grpc-sample.ts'
import { startHttpSample } from './http-sample.ts'

/** @returns The exit code. With `check` it always ends, after CHECK_TIMEOUT_MS with the step that hung. */
export async function runDemo(out: Output, world: World, check: boolean): Promise<number> {
  const stops = stopRequests(world)
  const running = new Running()
  const progress = { step: 'start' } // named by a time-out
  const timeout = check ? timeLimit(progress) : { expired: new Promise<never>(() => {}), clear() {} }
  const interrupted = stops.first.then(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-demo-'))
  try {
    const log = (await world.modules.log()).createLogger(out.logLevel('error'), out.logFormat)
    const demo = await Promise.race([start({ world, log, folder, running, progress }), timeout.expired, interrupted])
    if (demo === undefined) return 0 // Ctrl+C while it started
    out.event({ event: 'ready', ...demo }, demoText(demo, out, check))
    if (!check) await Promise.race([stops.first, running.asked])
    else await Promise.race([verify(out, demo, progress), timeout.expired, interrupted])
    return 0
  } finally {
    timeout.clear()
    await Promise.race([running.stop(), stops.second, world.sleep(STOP_TIMEOUT_MS)])
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }) // also if something did not stop in time
    stops.dispose()
  }
}

interface Demo {
  readonly registry: string
  readonly beacon: string
  readonly http: string // mapped addresses, on the side of agent-a
  readonly grpc?: string // absent if its package is not installed
  readonly httpTarget: string // what agent-b exposes
  readonly grpcTarget?: string
  readonly nodes: { readonly a: string; readonly b: string }
  readonly admin: { readonly a: string; readonly b: string }
}

interface Starting {
  readonly world: World
  readonly log: Logger
  readonly folder: string
  readonly running: Running
  readonly progress: { step: string }
}

async function start({ world, log, folder, running, progress }: Starting): Promise<Demo> {
  const step = async <T extends { stop(graceMs: number): Promise<void> }>(
    name: string,
    starting: () => Promise<T>,
  ): Promise<T> => {
    progress.step = name
    const started = await starting()
    running.add(() => started.stop(0))
    return started
  }
  const { startRendezvous } = await world.modules.rendezvous()
  const { startGateway } = await world.modules.gateway()
  const { startAdmin } = await world.modules.admin()
  const { registry, beacon } = await step('rendezvous', () =>
    startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log }),
  )
  const http = await step('sample HTTP service', startHttpSample)
  const grpc = (await hasGrpc()) ? await step('sample gRPC service', startGrpcSample) : undefined
  const gateway = async (hostname: string, flags: Flags): Promise<ServedGateway> => {
    const sources = {
      env: { HOME: folder },
      flags: { registry, beacon, listen: '127.0.0.1:0', hostname, stateDir: join(folder, hostname), ...flags },
    }
    const options = resolveOptions(sources)
    const onEvent = (event: GatewayEvent): void => log.debug({ node: hostname, ...event }, 'event')
    const started = await step(hostname, () => startGateway(options, { log, version: world.version, onEvent }))
    const live = new LiveConfig({ gateway: started, sources, log, onEvent, onDown: () => running.ask() })
    await step(`admin socket of ${hostname}`, () =>
      startAdmin({ socketPath: options.adminSocket, control: adminControl(started, live), log }),
    )
    return started
  }
  const b = await gateway('agent-b', {
    trust: ['agent-a'],
    expose: [`80=http://${http.address}`, ...(grpc === undefined ? [] : [`50051=h2c://${grpc.address}`])],
  })
  const a = await gateway('agent-a', {
    trust: ['agent-b'],
    map: ['0:agent-b:80', ...(grpc === undefined ? [] : ['0:agent-b:50051'])],
  })
  progress.step = 'registration and mutual trust of agent-a and agent-b'
  while (!((await trusts(a, b)) && (await trusts(b, a)))) await world.sleep(TRUST_POLL_MS)
  const local = (name: string): string => a.mappings().find((mapping) => mapping.name === name)!.local
  return {
    registry,
    beacon,
    http: local('agent-b:80'),
    httpTarget: http.address,
    ...(grpc !== undefined && { grpc: local('agent-b:50051'), grpcTarget: grpc.address }),
    nodes: { a: a.status().node.address, b: b.status().node.address },
    admin: { a: a.ready().admin, b: b.ready().admin },
  }
}

async function trusts(one: ServedGateway, other: ServedGateway): Promise<boolean> {
  const { nodeId } = other.status().node
  return nodeId !== 0 && (await one.trusted()).some((peer) => peer.nodeId === nodeId)
}

function demoText(demo: Demo, out: Output, check: boolean): string {
  const proto = relative(process.cwd(), packageFile('config/demo.proto'))
  const grpc = demo.grpc !== undefined
  return [
    'A rendezvous and two gateways are running in this process, on loopback; nothing is saved.',
    '',
    `  ${out.bold('rendezvous')}  registry ${demo.registry} (TCP), beacon ${demo.beacon} (UDP)`,
    `  ${out.bold('agent-b')}     ${demo.nodes.b}, exposes a sample HTTP service (${demo.httpTarget}) on port 80`,
    grpc
      ? `              and a sample gRPC service (${demo.grpcTarget}) on port 50051, for trusted peers`
      : `              for trusted peers (and a sample gRPC service once ${GRPC_PACKAGE} is installed)`,
    `  ${out.bold('agent-a')}     ${demo.nodes.a}, trusts agent-b and maps ${grpc ? `both: ${demo.http} and ${demo.grpc}` : `it: ${demo.http}`}`,
    '',
    'Try, in another terminal:',
    '',
    `  curl http://${demo.http}/`,
    `  curl http://${demo.http}/bytes/100000000 --output /dev/null`,
    ...(grpc
      ? [`  grpcurl -plaintext -proto ${proto} -d '{"text":"Ann"}' ${demo.grpc} pilotgate.demo.Demo/Greet`]
      : []),
    `  npx pilotgate list peers --admin ${demo.admin.a}`,
    '',
    check ? 'Making the requests now, then exiting.' : 'Press Ctrl+C to stop.',
  ].join('\n')
}

/** @throws PilotError FAILED naming the checks that did not hold. */
async function verify(out: Output, demo: Demo, progress: { step: string }): Promise<void> {
  const checked: Checked[] = []
  const failed: Checked[] = []
  for (const { name, run } of checksOf(demo.http, demo.grpc, CHECK_TIMEOUT_MS)) {
    progress.step = name
    try {
      const detail = await run()
      checked.push({ name, detail })
      out.note(`${out.good('ok')}      ${name}: ${detail}`)
    } catch (error) {
      failed.push({ name, detail: asPilotError(error).message })
      out.note(`${out.bad('failed')}  ${name}: ${asPilotError(error).message}`)
    }
  }
  if (failed.length > 0)
    throw new PilotError(
      'FAILED',
      `${failed.length} of ${failed.length + checked.length} checks failed: ${failed.map((entry) => entry.name).join(', ')}`,
      { failed },
    )
  const left = demo.grpc === undefined ? [`gRPC was not checked: the package ${GRPC_PACKAGE} is not installed`] : []
  out.result({ checked }, [`all ${checked.length} checks passed`, ...left])
}

function timeLimit(progress: { readonly step: string }): { readonly expired: Promise<never>; clear(): void } {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new PilotError('FAILED', `not done after ${CHECK_TIMEOUT_MS / 1000} s, stuck at: ${progress.step}`, {
            step: progress.step,
          }),
        ),
      CHECK_TIMEOUT_MS,
    )
  })
  expired.catch(() => {}) // it may fire when nothing waits for it any more
  return { expired, clear: () => clearTimeout(timer) }
}

/** Everything started, stopped in reverse order; anything added after the stop request ends immediately. */
class Running {
  readonly #stops: (() => Promise<void>)[] = []
  ask: () => void = () => {}
  /** By `pilotgate down`. */
  readonly asked = new Promise<void>((resolve) => {
    this.ask = resolve
  })
  #stopping: Promise<void> | undefined

  add(stop: () => Promise<void>): void {
    if (this.#stopping === undefined) this.#stops.push(stop)
    else void stop().catch(() => {})
  }

  stop(): Promise<void> {
    return (this.#stopping ??= (async () => {
      for (const stop of this.#stops.reverse()) await stop().catch(() => {}) // one failure must not keep the others running
    })())
  }
}

const CHECK_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 3_000
const TRUST_POLL_MS = 25
