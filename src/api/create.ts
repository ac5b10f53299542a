/** Nodes and gateways for programs: the command line's options and defaults, with fewer required. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PilotError } from '../base/errors.ts'
import { readEnvironment } from '../config/env.ts'
import { loadConfig } from '../config/load.ts'
import type { Flags } from '../config/flags.ts'
import { resolveOptions } from '../config/options.ts'
import { startGateway } from '../gateway/gateway.ts'
import type { Gateway } from '../gateway/control.ts'
import type { GatewayEvent } from '../gateway/model/events.ts'
import { silentLogger } from '../runtime/log.ts'
import type { Logger } from '../base/logger.ts'
import type { Overlay, OverlayEvent } from '../runtime/overlay.ts'
import { packageVersion } from '../runtime/files/package-file.ts'
import { OverlayNode } from '../runtime/node/node.ts'
import type { OverlayNodeOptions } from '../runtime/node/options.ts'
import { serveEcho } from '../services/echo.ts'
import { type EventControl, EventDesk } from '../services/events/desk.ts'
import { serveHandshakes } from '../services/handshake.ts'
import type { MessageControl, MessageDesk } from '../services/messages/desk.ts'
import { type EventOptions, serveEvents } from './events.ts'
import { type MessageOptions, openMessages } from './messages.ts'

/**
 * Only registry and beacon are required. Defaults: `listen` 0.0.0.0:0, not public, no trust, and no `identityFile`, so
 * that each node is new and saves nothing.
 */
export interface NodeOptions extends Partial<OverlayNodeOptions> {
  /** Registry to join, `host:port` (TCP), or `tls://host:port` to verify its certificate as a browser does. */
  readonly registry: string
  /** Beacon, `host:port` (UDP): it reports our public address, helps with hole punching, and relays. */
  readonly beacon: string
  /** Where the node logs: `createLogger('info')`, or your own. Absent: silent. */
  readonly log?: Logger
  /** Messages and files: where they are kept, and who may send some. Absent: `messages` of the node is null. */
  readonly messages?: MessageOptions
  /** A broker of events on port 1002: who may use it, and which topics. Absent: none; those of others can be used without one. */
  readonly events?: EventOptions
  /** Called for everything that happens to the node: trust, paths, loss of the registry. It must not throw. */
  readonly onEvent?: (event: OverlayEvent) => void
}

/** An overlay node with its services. */
export interface ServingNode extends Overlay, AsyncDisposable {
  readonly messages: MessageControl | null
  readonly events: EventControl
}

/**
 * An overlay node in this process, with the services that every node offers: trust handshakes and echo. It resolves
 * when the registry knows the node, or after REGISTRATION_PATIENCE_MS; then it keeps retrying (`node.status.registry`).
 * @throws PilotError USAGE, CONFLICT for a hostname that is taken, PORT_IN_USE, IDENTITY_…
 */
export async function createNode({
  log = silentLogger,
  onEvent = () => {},
  messages: messageOptions,
  events: eventOptions,
  ...options
}: NodeOptions): Promise<ServingNode> {
  let desk: MessageDesk | undefined
  const node = await OverlayNode.start(
    { listen: '0.0.0.0:0', public: false, trust: [], pinned: {}, ...options },
    log,
    (event) => {
      if (event.kind === 'peer' && event.state === 'connected') desk?.onPeer(event.node)
      onEvent(event)
    },
  )
  try {
    await serveHandshakes(node, log)
    await serveEcho(node)
    if (messageOptions !== undefined) desk = await openMessages(node, messageOptions, log)
    const broker = eventOptions === undefined ? undefined : await serveEvents(node, eventOptions, log)
    await node.whenRegistered(REGISTRATION_PATIENCE_MS)
    const { hostnameRefused } = node.health
    if (hostnameRefused !== undefined)
      throw new PilotError(
        'CONFLICT',
        `hostname ${options.hostname ?? ''}: the registry refuses it: ${hostnameRefused}`,
      )
    return served(node, desk, new EventDesk(node, broker))
  } catch (error) {
    desk?.stop()
    await node.stop()
    throw error
  }
}

function served(node: OverlayNode, desk: MessageDesk | undefined, events: EventControl): ServingNode {
  const stop = node.stop.bind(node)
  node.stop = async () => {
    desk?.stop()
    await stop()
  }
  return Object.assign(node, { messages: desk ?? null, events })
}

/** The flags of `pilotgate up`, as docs/config.md has them: `map` and `expose` are strings as on the command line. */
export interface CreateGatewayOptions extends Flags {
  /** Path of a configuration file; other options given here override it. */
  readonly config?: string
  /** A new identity in a temporary folder that is removed with the gateway. For tests; not together with `stateDir`. */
  readonly ephemeral?: boolean
  /** Where the gateway logs: `createLogger('info')`, or your own. Absent: silent. */
  readonly log?: Logger
  /** Called with the events that `pilotgate up --json` prints. It must not throw. */
  readonly onEvent?: (event: GatewayEvent) => void
}

/**
 * A gateway in this process, ready when everything requested is bound. It ignores PILOTGATE_… variables and signals,
 * and has no admin socket: `status()`, `apply()`, `stop()` and the rest are methods.
 * @throws PilotError USAGE, CONFIG_INVALID, and whatever cannot be bound.
 */
export async function createGateway({
  config,
  ephemeral = false,
  log = silentLogger,
  onEvent = () => {},
  ...flags
}: CreateGatewayOptions = {}): Promise<Gateway> {
  if (ephemeral && flags.stateDir !== undefined)
    throw new PilotError('USAGE', 'ephemeral keeps nothing, so it cannot be combined with stateDir')
  const folder = ephemeral ? await mkdtemp(join(tmpdir(), 'pilotgate-')) : undefined
  const tidy = async (): Promise<void> => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
  try {
    const file = config === undefined ? undefined : await loadConfig(config)
    const { HOME, XDG_STATE_HOME } = readEnvironment()
    const options = resolveOptions({
      env: { HOME, XDG_STATE_HOME },
      flags: { ...flags, ...(folder !== undefined && { stateDir: folder }) },
      file,
    })
    return withTidying(await startGateway(options, { log, version: packageVersion(), onEvent }), tidy)
  } catch (error) {
    await tidy()
    throw error
  }
}

/** The same gateway, but `tidy` runs after its end. */
function withTidying(gateway: Gateway, tidy: () => Promise<void>): Gateway {
  const stop = gateway.stop.bind(gateway)
  gateway.stop = async (graceMs) => {
    await stop(graceMs)
    await tidy()
  }
  return gateway
}

/** As long as a gateway waits at startup. */
const REGISTRATION_PATIENCE_MS = 3_000
