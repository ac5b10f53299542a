/**
 * The overlay through a daemon that already runs on this machine, with its identity, trust and tunnels; we are one of
 * its clients. Above: overlay.ts, the common interface. Below: the connections in this folder.
 */
import { ECHO_PORT } from '../../base/overlay-ports.ts'
import { formatAddress } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import { fingerprintOfText } from '../../crypto/fingerprint.ts'
import type { DaemonConnection } from './daemon-json.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'
import type { Logger } from '../../base/logger.ts'
import type {
  OverlayDatagrams,
  Incoming,
  Listener,
  Overlay,
  OverlayEvent,
  OverlayStatus,
  OverlayStream,
  PeerStatus,
  Pong,
} from '../overlay.ts'
import { nameOf, parseTarget } from '../peer-name.ts'
import { DaemonControl } from './control.ts'
import { DaemonDatagrams } from './datagrams.ts'
import { DaemonStream } from './daemon-stream.ts'
import type { GivingUp } from '../giving-up.ts'
import { Dialled } from './dialled.ts'
import { ExposedPort } from './exposed-port.ts'
import { DaemonNames } from './names.ts'
import { DaemonShare, askInfo, sleep } from './shared.ts'
import { DaemonTrust } from './trust.ts'
import { IpcConnection, NO_EVENTS } from './ipc-connection.ts'

export interface DaemonNodeOptions {
  /** Path of the daemon's Unix socket. */
  readonly socket: string
  /** `host:port` of its registry, to resolve private peers by name. Absent: the daemon resolves names. */
  readonly registry?: string | undefined
  /** Peers to ask for trust, and to approve when they ask. */
  readonly trust: readonly string[]
}

export class DaemonNode implements Overlay {
  readonly #log: Logger
  readonly #share: DaemonShare
  readonly #control: DaemonControl
  readonly #names: DaemonNames
  readonly #trust: DaemonTrust
  readonly #datagrams: DaemonDatagrams
  readonly #streams = new Set<DaemonStream>()
  readonly #ports = new Set<ExposedPort>()
  #reports: Promise<IpcConnection> | undefined

  private constructor(
    options: DaemonNodeOptions,
    control: DaemonControl,
    datagrams: DaemonDatagrams,
    log: Logger,
    onEvent: (event: OverlayEvent) => void,
  ) {
    this.#log = log
    this.#control = control
    this.#share = new DaemonShare(options.socket)
    this.#names = new DaemonNames(
      options.registry,
      () => control.ipc,
      () => this.nodeId,
      (node) => this.#trust.keyOf(node),
    )
    this.#trust = new DaemonTrust(options.socket, () => control.ipc, this.#names, onEvent)
    this.#datagrams = datagrams
  }

  /** @throws PilotError DAEMON_UNREACHABLE, USAGE for a peer to trust that cannot be parsed. */
  static async start(
    options: DaemonNodeOptions,
    log: Logger,
    onEvent: (event: OverlayEvent) => void,
  ): Promise<DaemonNode> {
    const datagrams = new DaemonDatagrams(options.socket, (peer) => node.resolve(peer))
    const control = await DaemonControl.open(options.socket, {
      onLost: (reason) => onEvent({ kind: 'daemon', state: 'lost', text: reason }),
      onBack: ({ nodeId }) => {
        onEvent({ kind: 'daemon', state: 'back', text: '' })
        tellRegistered(nodeId, onEvent)
      },
      onMessage: (message) => datagrams.onMessage(message),
    })
    const node: DaemonNode = new DaemonNode(options, control, datagrams, log, onEvent)
    try {
      for (const peer of options.trust) node.#wish(peer, 'asked at start')
    } catch (error) {
      await node.stop()
      throw error
    }
    node.#trust.start()
    tellRegistered(node.nodeId, onEvent)
    return node
  }

  get nodeId(): NodeId {
    return this.#control.info.nodeId
  }
  get address(): string {
    return formatAddress({ network: 0, node: this.nodeId })
  }
  get hostname(): string | undefined {
    return this.#control.info.hostname === '' ? undefined : this.#control.info.hostname
  }
  get publicKey(): string {
    return this.#control.info.publicKey
  }

  get status(): OverlayStatus {
    const { since, connected } = this.#control
    return {
      udp: null,
      registry: null,
      beacon: null,
      nat: null,
      daemon: { socket: this.#share.socket, state: connected ? 'connected' : 'lost', since: since.toISOString() },
      counters: {},
    }
  }

  /** As the daemon last reported, at most a few seconds ago. */
  get peers(): readonly PeerStatus[] {
    const { peers, connections } = this.#control.info
    return peers.map(({ nodeId, authenticated }) => {
      const own = connections.filter(({ node, state }) => node === nodeId && state === 'ESTABLISHED')
      return {
        nodeId,
        address: formatAddress({ network: 0, node: nodeId }),
        hostname: this.hostnameOf(nodeId) ?? null,
        unverifiedName: this.hostnameOf(nodeId) === undefined ? (this.claimOf(nodeId) ?? null) : null,
        fingerprint: fingerprintOfText(this.keyOf(nodeId) ?? '') ?? null,
        trusted: this.#trust.knows(nodeId),
        state: this.#control.connected && authenticated ? 'connected' : 'idle',
        path: null,
        streams: own.length,
        bytesIn: own.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
        bytesOut: own.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
        lastHeardMs: null,
        reason: null,
        paths: [],
      }
    })
  }

  async dial(target: string, signal?: GivingUp): Promise<OverlayStream> {
    const { peer, port } = parseTarget(target)
    const node = await this.#names.resolve(peer)
    const dialled = await Dialled.dial(this.#share, { network: 0, node }, port, peer, signal)
    return this.#keep(
      new DaemonStream(dialled, {
        peer: node,
        peerName: peer,
        localPort: 0,
        remotePort: port,
        dialled: true,
        onHeldTooLong: () =>
          this.#log.warn(
            { peer, port },
            'a half-closed stream was closed in both directions: a daemon cannot close just one, and the other did not end',
          ),
      }),
    )
  }

  async listen(port: number, onIncoming: (incoming: Incoming) => void): Promise<Listener> {
    const exposed = await ExposedPort.open(port, {
      share: this.#share,
      log: this.#log,
      report: () => this.#report(),
      nameOf: (node) => this.hostnameOf(node) ?? formatAddress({ network: 0, node }),
      onIncoming,
      onStream: (stream) => this.#keep(stream),
    })
    this.#ports.add(exposed)
    return { close: () => exposed.close() }
  }

  async datagrams(
    port: number | undefined,
    onDatagram: (bytes: Uint8Array, from: NodeId, sourcePort: number) => void,
  ): Promise<OverlayDatagrams> {
    return this.#datagrams.open(port, onDatagram)
  }

  readonly guests = null
  readonly health = null
  pathTo(): null {
    return null
  }
  /** The daemon brings up its tunnels when something is dialled. */
  prepare(): void {} // up to the daemon
  async connect(peer: string): Promise<NodeId> {
    return await this.resolve(peer)
  }
  async resolve(peer: string): Promise<NodeId> {
    return await this.#names.resolve(peer)
  }
  async about(): Promise<null> {
    return null
  }
  hostnameOf(node: NodeId): string | undefined {
    return this.#names.nameOf(this.#trust.keyOf(node))
  }
  claimOf(node: NodeId): string | undefined {
    return this.#names.claimOf(node)
  }
  async means(hostname: string, node: NodeId): Promise<boolean> {
    return await this.#names.isNamed(hostname, this.#trust.keyOf(node))
  }
  /** Of a trusted peer, as of the last query of the daemon's trust. */
  keyOf(node: NodeId): string | undefined {
    return this.#trust.keyOf(node)
  }

  /** A daemon has no echo command; every node answers on the echo port. */
  async ping(peer: string, timeoutMs: number): Promise<Pong> {
    const late = AbortSignal.timeout(timeoutMs)
    try {
      const stream = await this.dial(`${peer}:${ECHO_PORT}`, late)
      try {
        const asked = performance.now()
        const answered = new Promise<void>((resolve, reject) => {
          stream
            .once('data', () => resolve())
            .once('error', reject)
            .once('end', () => reject(new PilotError('PEER_UNREACHABLE', `${peer}: no answer from the echo service`)))
          late.addEventListener(
            'abort',
            () => reject(new PilotError('PEER_UNREACHABLE', `${peer}: no answer within ${timeoutMs} ms`)),
            { once: true },
          )
        })
        stream.write(ECHO_BYTES)
        await answered
        return { node: stream.peer, rttMs: performance.now() - asked, path: null, endpoint: null }
      } finally {
        stream.on('error', () => {})
        stream.destroy()
      }
    } catch (error) {
      if (late.aborted) throw new PilotError('PEER_UNREACHABLE', `${peer}: no answer within ${timeoutMs} ms`)
      throw error
    }
  }

  async isTrusted(node: NodeId): Promise<boolean> {
    return (await this.#trust.trusted()).some(({ nodeId }) => nodeId === node)
  }
  async trustOf(node: NodeId): Promise<TrustedEntry | undefined> {
    return (await this.#trust.trusted()).find(({ nodeId }) => nodeId === node)
  }
  async trusted(): Promise<readonly TrustedEntry[]> {
    return await this.#trust.trusted()
  }
  async pendingTrust(): Promise<readonly PendingEntry[]> {
    return await this.#trust.pending()
  }
  get wishes(): readonly string[] {
    return this.#trust.wishes
  }
  async requestTrust(peer: string, reason: string): Promise<void> {
    this.#wish(peer, reason)
  }
  async revokeDisplaced(): Promise<boolean> {
    return false // the daemon decides about trust, and keeps none by key alone
  }
  async dropWish(peer: string): Promise<boolean> {
    return this.#trust.dropWish(peer)
  }
  async approveTrust(node: NodeId): Promise<boolean> {
    return await this.#trust.approve(node)
  }
  async rejectTrust(node: NodeId): Promise<boolean> {
    return await this.#trust.reject(node)
  }
  async revokeTrust(node: NodeId): Promise<boolean> {
    return await this.#trust.revoke(node)
  }

  async whenRegistered(patienceMs: number): Promise<boolean> {
    const until = performance.now() + patienceMs
    while (this.nodeId === 0) {
      if (performance.now() > until) return false
      await sleep(REGISTERED_LOOK_MS)
      await this.#control.refresh().catch(() => undefined)
    }
    return true
  }

  get hasUndelivered(): boolean {
    return this.#share.lingering > 0
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.destroy()
    for (const port of this.#ports) port.close()
    this.#trust.stop()
    this.#datagrams.stop()
    this.#control.stop()
    void this.#reports?.then(
      (ipc) => ipc.destroy(),
      () => {},
    )
  }

  #wish(peer: string, reason: string): void {
    nameOf(peer) // reports anything that cannot be a peer now
    this.#trust.wish(peer, reason)
  }

  #keep(stream: DaemonStream): DaemonStream {
    this.#streams.add(stream)
    return stream.once('close', () => this.#streams.delete(stream))
  }

  /** What every stream of the daemon has delivered, asked on a separate connection where nothing waits. */
  async #report(): Promise<readonly DaemonConnection[]> {
    this.#reports ??= IpcConnection.open(this.#share.socket, {
      ...NO_EVENTS,
      onClose: () => {
        this.#reports = undefined
      },
    })
    try {
      return (await askInfo(await this.#reports, REPORT_MS)).connections
    } catch (error) {
      this.#reports = undefined
      throw error
    }
  }
}

function tellRegistered(nodeId: NodeId, onEvent: (event: OverlayEvent) => void): void {
  if (nodeId !== 0) onEvent({ kind: 'registered', nodeId, address: formatAddress({ network: 0, node: nodeId }) })
}

const ECHO_BYTES = new Uint8Array([0x70, 0x69, 0x6e, 0x67])
const REGISTERED_LOOK_MS = 100
const REPORT_MS = 15_000
