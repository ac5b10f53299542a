/**
 * A gateway in the foreground, for `up`, and for `map`, `expose`, `share` and `join` if none is running: starts it,
 * opens the admin socket, reports events, reloads its file, and stops it gracefully.
 */
import type { Flags } from '../config/flags.ts'
import type { Sources } from '../config/sources.ts'
import type { LiveConfig } from '../config/live.ts'
import { idleVariables } from '../config/variables.ts'
import { FileWatch } from '../config/watch.ts'
import type { AdminControl } from '../gateway/control.ts'
import type { GatewayEvent } from '../gateway/model/events.ts'
import { tellerFor, type Teller } from './teller.ts'
import type { GatewayOptions } from '../gateway/model/options.ts'
import type { Output } from './output.ts'
import { stopRequests } from './stop.ts'
import type { Logger } from '../base/logger.ts'
import type { ServedGateway, World } from './world.ts'

export interface UpOptions extends Flags {
  readonly config?: string
}

/** Flags, environment, and the file that either names. @throws PilotError CONFIG_INVALID. */
export async function readSources(
  flags: UpOptions,
  world: World,
): Promise<Sources & { readonly path: string | undefined }> {
  const path = flags.config ?? world.env['PILOTGATE_CONFIG']
  if (path === undefined || path === '') return { flags, env: world.env, path: undefined }
  const { canBeFollowed, loadConfig } = await import('../config/load.ts')
  const followed = await canBeFollowed(path)
  return { flags, env: world.env, file: await loadConfig(path), path: followed ? path : undefined }
}

/** What they amount to. @throws PilotError USAGE, CONFIG_INVALID, CONFLICT. */
export async function readOptions(flags: UpOptions, world: World): Promise<GatewayOptions> {
  const { resolveOptions } = await import('../config/options.ts')
  return resolveOptions(await readSources(flags, world))
}

/**
 * @param onReady runs as soon as the gateway is up; if it fails, so does the whole command.
 * @param waiting what it does, for a person who waits for it.
 * @returns The exit code, once it has ended.
 */
export async function serve(
  out: Output,
  world: World,
  flags: UpOptions,
  onReady?: (control: AdminControl) => Promise<void>,
  waiting?: string,
): Promise<number> {
  const { resolveOptions } = await import('../config/options.ts')
  const { LiveConfig } = await import('../config/live.ts')
  const sources = await readSources(flags, world)
  const options = resolveOptions(sources)
  const stops = stopRequests(world) // from here on a signal stops things properly, even during the start
  const { createLogger } = await world.modules.log()
  const log = createLogger(out.logLevel('info'), out.logFormat)
  for (const idle of idleVariables(world.env, 'up')) log.warn(idle, 'this variable changes nothing here')
  const { makeRoom, startAdmin } = await world.modules.admin()
  await makeRoom(options.adminSocket)
  const { startGateway } = await world.modules.gateway()
  const teller = tellerFor(out, world, sources.path !== undefined, waiting)
  const onEvent = (event: GatewayEvent): void => teller.tell(event)
  let control: AdminControl | undefined
  const observing = world.modules.observe() // now, not at a later reload: by then an upgrade may have replaced the files
  observing.catch(() => {}) // reported where it is needed
  const openObserver = async (listen: string): Promise<{ local: string; stop(): void }> => {
    const { startObserve } = await observing
    const { address, stop: close } = await startObserve({ listen, control: () => control, log })
    return { local: address, stop: () => void close() }
  }
  const starting = startGateway(options, { log, version: world.version, onEvent, openObserver })
  const gateway = await Promise.race([starting, stops.first.then(() => undefined)])
  if (gateway === undefined) {
    // requested to stop before it was up
    await Promise.race([starting.then((late) => late.stop(0)), after(LAST_WORDS_MS)])
    return 0
  }
  const uncontain = world.contain((error) => gateway.fault(error))
  try {
    const live = (onDown: () => void): LiveConfig =>
      new LiveConfig({ gateway, sources, file: sources.path, log, onEvent, onDown })
    const show = (shown: AdminControl): void => {
      control = shown
    }
    const socketPath = options.adminSocket
    await attend(gateway, { out, world, log, stops, live, show, teller, onReady, startAdmin, socketPath })
  } catch (error) {
    await gateway.stop(0)
    throw error
  } finally {
    teller.stop()
    uncontain()
    stops.dispose()
  }
  return 0
}

interface Attending {
  readonly out: Output
  readonly world: World
  readonly log: Logger
  readonly stops: ReturnType<typeof stopRequests>
  readonly live: (onDown: () => void) => LiveConfig
  readonly show: (control: AdminControl) => void // to the observe listener
  readonly teller: Teller
  readonly onReady: ((control: AdminControl) => Promise<void>) | undefined
  readonly startAdmin: Awaited<ReturnType<World['modules']['admin']>>['startAdmin']
  readonly socketPath: string
}

/** From ready to the end: the admin socket is open, the file is watched, and it waits for a request to stop. */
async function attend(gateway: ServedGateway, about: Attending): Promise<void> {
  const { out, world, log, stops, teller, onReady, startAdmin, socketPath } = about
  let down: (reason: string) => void = () => {}
  const asked = new Promise<string>((resolve) => {
    down = resolve
  })
  const { adminControl } = await import('../config/live.ts')
  const live = about.live(() => down('down'))
  const control = adminControl(gateway, live)
  about.show(control)
  const admin = await startAdmin({ socketPath, control, log, dial: (target, signal) => gateway.dial(target, signal) })
  teller.tell(gateway.ready())
  const follower = live.file === undefined ? undefined : await Follower.start(live, live.file, world, log)
  try {
    const stopped = Promise.race([stops.first, asked])
    const doing = onReady?.(control).then(() => teller.settle())
    if (doing === undefined) teller.settle()
    const signal = await (doing === undefined ? stopped : Promise.race([stopped, doing.then(() => stopped)]))
    follower?.stop()
    log.info({ signal, graceMs: GRACE_MS }, 'draining: no new connections; the open ones may finish')
    if (world.terminal) out.note('') // behind the ^C
    if (!world.terminal || gateway.status().connections > 0)
      out.note(`draining for up to ${GRACE_MS / 1000} s; interrupt again to stop immediately`)
    await stop(gateway, stops.second)
    await admin.stop() // last, so that `status` works while connections end
    if (world.terminal) out.note('Stopped.')
  } finally {
    follower?.stop()
  }
}

/** Reloads the file when it changes, and on SIGHUP. LiveConfig reports why a file was not applied. */
class Follower {
  readonly #watch: FileWatch
  readonly #dispose: () => void

  private constructor(watch: FileWatch, dispose: () => void) {
    this.#watch = watch
    this.#dispose = dispose
  }

  static async start(live: LiveConfig, file: string, world: World, log: Logger): Promise<Follower> {
    const reload = (): void => void live.reload().catch(() => {})
    const watch = new FileWatch(file, reload)
    await watch.start()
    reload() // it may have changed while we started
    return new Follower(
      watch,
      world.onReload(() => {
        log.info({ file }, 'SIGHUP: rereading the configuration')
        reload()
      }),
    )
  }

  stop(): void {
    this.#watch.stop()
    this.#dispose()
  }
}

async function stop(gateway: ServedGateway, atOnce: Promise<void>): Promise<void> {
  const graceful = gateway.stop(GRACE_MS)
  const second = atOnce.then(() => 'second' as const)
  if ((await Promise.race([graceful, second])) === 'second') await Promise.race([gateway.stop(0), after(LAST_WORDS_MS)])
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}

/** `docker stop` kills after 10 s; resets and last packets need the remaining time. */
export const GRACE_MS = 7_000
const LAST_WORDS_MS = 500 // for resets to be sent after a second signal
