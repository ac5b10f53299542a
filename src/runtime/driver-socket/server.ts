/**
 * The driver socket: our node as a pilot daemon for the programs of this user. Above: gateway/. Below: client.ts for each
 * connection; what they share is here.
 */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { BROADCAST_NODE, type OverlayAddress } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeId } from '../../base/types.ts'
import type { DriverQuestion } from '../../proto/driver/client.ts'
import type { OverlayNode } from '../node/node.ts'
import type { OverlayDatagrams, OverlayStream } from '../overlay.ts'
import { ClientSocket } from './client.ts'
import type { DriverHost, Present } from './host.ts'
import { inodeOf, isFree, listenAt, removeSocket } from './place.ts'
import { DriverPorts, type PortOwner } from './ports.ts'
import { Questions } from './questions.ts'

export interface DriverSocketOptions {
  /** One path, or several, of which those that are free are used. */
  readonly at: string | readonly string[]
  readonly version: string // of pilotgate
}

/** A program that is connected. */
export interface DriverClientRecord {
  readonly id: number
  readonly since: string
  readonly streams: number
  readonly ports: readonly number[] // that it has bound
}

export class DriverSocket implements DriverHost {
  readonly ports: DriverPorts
  readonly #node: OverlayNode
  readonly #log: Logger
  readonly #servers: { readonly server: Server; readonly path: string; readonly inode: number }[] = []
  readonly #clients = new Set<ClientSocket>()
  readonly #questions: Questions
  readonly #startedAt = performance.now()
  #datagrams: (OverlayDatagrams & { readonly port: number }) | undefined
  #lastClient = 0
  #lastConnection = 0

  private constructor(node: OverlayNode, version: string, log: Logger) {
    this.#node = node
    this.#log = log
    this.ports = new DriverPorts(node)
    const sendDatagram = (to: OverlayAddress, port: number, bytes: Uint8Array): Promise<void> =>
      this.sendDatagram(to, port, bytes)
    this.#questions = new Questions(node, { present: () => this.#present(version), sendDatagram })
  }

  /** @throws PilotError CONFLICT, USAGE: from `listenAt`; CONFLICT if none of several places is free. */
  static async open(node: OverlayNode, options: DriverSocketOptions, log: Logger): Promise<DriverSocket> {
    const socket = new DriverSocket(node, options.version, log)
    try {
      if (typeof options.at === 'string') await socket.#listen(options.at)
      else await socket.#listenWhereFree(options.at)
      await socket.#takeDatagrams()
    } catch (error) {
      await socket.close()
      throw error
    }
    return socket
  }

  get paths(): readonly string[] {
    return this.#servers.map(({ path }) => path)
  }

  get clients(): readonly DriverClientRecord[] {
    return [...this.#clients].map((client) => ({
      id: client.id,
      since: client.since.toISOString(),
      streams: client.streams.size,
      ports: this.ports.portsOf(client).sort((a, b) => a - b),
    }))
  }

  /** Exposures come to these ports. */
  giveWay(ports: ReadonlySet<number>): void {
    for (const port of this.ports.giveWay(ports))
      this.#log.warn({ port }, 'a program on the driver socket had bound this port, which an exposure now has')
  }

  /** Trust has changed: those who wait for it look again. */
  onTrust(): void {
    this.#questions.onTrust()
  }

  async close(): Promise<void> {
    this.#node.drivers.takeDatagrams(undefined)
    this.#datagrams?.close()
    for (const client of this.#clients) client.leave()
    for (const { server, path, inode } of this.#servers.splice(0)) {
      await removeSocket(path, inode)
      await new Promise((resolve) => server.close(resolve))
    }
  }

  // ---- for clients

  nextConnection(): number {
    this.#lastConnection = this.#lastConnection >= MAX_ID ? 1 : this.#lastConnection + 1
    return this.#lastConnection
  }

  async dial(node: NodeId, port: number, signal: AbortSignal): Promise<OverlayStream> {
    if (node === 0) throw new PilotError('NOT_FOUND', 'node 0: node not found')
    if (port === 0) throw new PilotError('CONNECTION_REFUSED', 'port 0 is for pings')
    if (node === this.#node.nodeId) {
      const { drivers, hostname, address } = this.#node
      return await drivers.dialSelf(hostname ?? address, port, signal)
    }
    return await this.#node.dial(`${node}:${port}`, signal)
  }

  async sendDatagram(to: OverlayAddress, port: number, bytes: Uint8Array): Promise<void> {
    if (to.node === BROADCAST_NODE)
      throw new PilotError('FAILED', 'broadcast address requires admin token: use BroadcastDatagram')
    if (to.node === this.#node.nodeId) return this.#toAll(bytes, to.node, this.#sourcePort, port)
    if (to.node === 0) throw new PilotError('NOT_FOUND', 'node 0: node not found')
    await this.#datagrams!.send(String(to.node), port, bytes)
  }

  async answer(request: DriverQuestion, gone: AbortSignal): Promise<string> {
    return await this.#questions.answer(request, gone)
  }

  closeFor(asker: PortOwner, connection: number): void {
    for (const client of this.#clients) if (client !== asker && client.closeFor(connection)) return
  }

  onNotReading(client: PortOwner): void {
    this.#log.warn({ client: client.id }, 'a program on the driver socket has stopped reading: disconnected')
  }

  onGone(client: PortOwner): void {
    this.ports.releaseAll(client)
    if (this.#clients.delete(client as ClientSocket))
      this.#log.debug({ client: client.id }, 'a program has left the driver socket')
  }

  // ---- inside

  #present(version: string): Present {
    return {
      version,
      uptimeSecs: Math.floor((performance.now() - this.#startedAt) / 1000),
      streams: [...this.#clients].flatMap(({ streams }) =>
        [...streams].map(([id, { stream }]) => [id, stream] as const),
      ),
      boundPorts: this.ports.size,
    }
  }

  /** Of what clients send: answers to it come to all of them, too. */
  get #sourcePort(): number {
    return this.#datagrams?.port ?? 0
  }

  async #takeDatagrams(): Promise<void> {
    this.#datagrams = await this.#node.datagrams(undefined, (bytes, from, sourcePort) =>
      this.#toAll(bytes, from, sourcePort, this.#sourcePort),
    )
    this.#node.drivers.takeDatagrams((bytes, from, sourcePort, port) => this.#toAll(bytes, from, sourcePort, port))
  }

  #toAll(bytes: Uint8Array, from: NodeId, sourcePort: number, port: number): void {
    for (const client of this.#clients) client.datagram(bytes, from, sourcePort, port)
  }

  async #listenWhereFree(places: readonly string[]): Promise<void> {
    for (const path of places)
      if (await isFree(path))
        await this.#listen(path).catch((error: unknown) => {
          this.#log.warn({ path, reason: (error as Error).message }, 'the driver socket cannot be there')
        })
      else this.#log.info({ path }, 'a daemon serves drivers there already')
    if (this.#servers.length > 0) return
    throw new PilotError(
      'CONFLICT',
      `driver socket: neither of ${places.join(', ')} can be used`,
      { places },
      undefined,
      'Stop the daemon that is there, or name a path with --driver-socket.',
    )
  }

  async #listen(path: string): Promise<void> {
    const server = createServer({ highWaterMark: SOCKET_BUFFER_BYTES }, (socket) => this.#accept(socket))
    await listenAt(server, path)
    server.on('error', (error) => this.#log.error({ err: error.message }, 'driver socket failed'))
    this.#servers.push({ server, path, inode: await inodeOf(path) })
    this.#log.info({ path }, 'serving drivers of the pilot daemon')
  }

  #accept(socket: Socket): void {
    if (this.#clients.size >= MAX_CLIENTS) return void socket.destroy()
    const client = new ClientSocket(++this.#lastClient, socket, this)
    this.#clients.add(client)
    this.#log.debug({ client: client.id }, 'a program has connected to the driver socket')
  }
}

/** As in daemons: more are disconnected at once. */
const MAX_CLIENTS = 1_024
/** Ids of connections have 32 bits; beyond, they start again. None lives that long. */
const MAX_ID = 0xffff_ffff
/** Handed to the kernel before a client counts as slow: some messages of 64 KiB. */
const SOCKET_BUFFER_BYTES = 262_144
