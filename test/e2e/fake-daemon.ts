/**
 * A daemon for tests: the socket, messages and behaviour of the reference daemon (ipc.md), with one of our nodes as its
 * overlay. Its quirks are deliberate: each client's commands run one at a time, Send waits for the peer, no half-close,
 * CloseOK twice, datagrams go to every client, segments of 4,096 bytes, and everything stops when one client does not
 * read. test/e2e/fake-daemon.test.ts compares it with a recording of a real daemon.
 */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { formatAddress } from '../../src/base/address.ts'
import { asPilotError } from '../../src/base/errors.ts'
import { fromUtf8 } from '../../src/base/bytes.ts'
import type { OverlayNode } from '../../src/runtime/node/node.ts'
import { NodeStream } from '../../src/runtime/node/stream.ts'
import type { Listener, OverlayDatagrams, OverlayStream } from '../../src/runtime/overlay.ts'
import { IpcFrameReader, decodeIpcRequest, encodeIpcFrame, encodeIpcMessage } from '../../src/wire/ipc-messages.ts'
import type { IpcMessage, IpcRequest, IpcRequestFault } from '../../src/wire/ipc-messages.ts'

export interface FakeDaemonOptions {
  readonly socket: string // path
  readonly node: OverlayNode
  readonly hostname: string
  readonly datagramPorts?: readonly number[] // a real one accepts them on all ports
  readonly publicNames?: Readonly<Record<string, number>>
}

interface Conn {
  readonly id: number
  readonly stream: OverlayStream
  readonly client: Client
  readonly segments: Uint8Array[]
  state: 'ESTABLISHED' | 'TIME_WAIT'
  pushing: boolean
  over: boolean // one side has ended: CloseOK follows the last segment
  bytesSent: number
}

export class FakeDaemon {
  readonly options: FakeDaemonOptions
  readonly #server: Server
  readonly clients = new Set<Client>()
  readonly conns = new Map<number, Conn>()
  readonly ports = new Map<number, Client | 'built-in'>([
    [7, 'built-in'],
    [444, 'built-in'],
    [1_000, 'built-in'],
    [1_001, 'built-in'],
    [1_002, 'built-in'],
  ])
  readonly #datagrams: OverlayDatagrams[] = []
  nextId = 1
  #moving: Promise<void> = Promise.resolve()

  private constructor(options: FakeDaemonOptions) {
    this.options = options
    this.#server = createServer((socket) => this.clients.add(new Client(this, socket)))
  }

  static async start(options: FakeDaemonOptions): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(options)
    await new Promise<void>((resolve) => daemon.#server.listen(options.socket, resolve))
    for (const port of options.datagramPorts ?? []) {
      daemon.#datagrams.push(
        await options.node.datagrams(port, (data, from, sourcePort) => {
          for (const client of daemon.clients)
            client.say({ kind: 'recv_from', source: { network: 0, node: from }, sourcePort, port, data })
        }),
      )
    }
    return daemon
  }

  /** As if killed; the overlay node belongs to the caller. */
  async stop(): Promise<void> {
    for (const port of this.#datagrams) port.close()
    for (const client of this.clients) client.leave()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async sendTo(node: number, port: number, data: Uint8Array): Promise<void> {
    await this.#datagrams[0]!.send(String(node), port, data)
  }

  async moving(): Promise<void> {
    await this.#moving
  }

  /** One client has stopped reading, and the queue towards it is full. */
  standStill(until: Promise<void>): void {
    this.#moving = Promise.all([this.#moving, until]).then(() => {})
  }

  unackedBytes(stream: OverlayStream): number {
    return stream instanceof NodeStream ? stream.unacknowledgedBytes : 0
  }

  info(): string {
    const { node, hostname } = this.options
    const conns = [...this.conns.values()]
    return JSON.stringify({
      address: node.address,
      authenticated_peers: 0,
      bytes_recv: 0,
      bytes_sent: 0,
      conn_list: conns.map((conn) => this.#connEntry(conn)),
      connections: conns.filter(({ state }) => state === 'ESTABLISHED').length,
      email: 'fake@example.com',
      encrypt: true,
      encrypted_peers: 0,
      handshake_pending_count: 0,
      hostname,
      identity: true,
      node_id: node.nodeId,
      peer_list: node.peers.map(({ nodeId, state }) => ({
        node_id: nodeId,
        endpoint: '127.0.0.1:1',
        encrypted: true,
        authenticated: state === 'connected',
      })),
      peers: node.peers.length,
      pkts_recv: 0,
      pkts_sent: 0,
      ports: this.ports.size,
      public_key: node.publicKey,
      tunnel_encryption_failure: 0,
      tunnel_encryption_success: 0,
      uptime_secs: 0,
    })
  }

  #connEntry({ id, stream, state, bytesSent }: Conn): object {
    const { peer, localPort, remotePort } = stream
    const unacked = this.unackedBytes(stream)
    return {
      bytes_recv: stream.bytesRead,
      bytes_sent: bytesSent,
      in_flight: unacked,
      unacked,
      id,
      local_port: localPort,
      remote_addr: formatAddress({ network: 0, node: peer }),
      remote_port: remotePort,
      state,
      peer_recv_win: Math.max(0, WINDOW_BYTES - unacked),
      recv_win: WINDOW_BYTES,
    }
  }
}

/** One connection from a driver. */
class Client {
  readonly #daemon: FakeDaemon
  readonly #socket: Socket
  readonly #listeners: Listener[] = []
  #work: Promise<void> = Promise.resolve()
  #drained: Promise<void> | undefined

  constructor(daemon: FakeDaemon, socket: Socket) {
    this.#daemon = daemon
    this.#socket = socket
    const reader = new IpcFrameReader()
    socket.on('error', () => {})
    socket.on('data', (chunk: Uint8Array) => {
      const messages = reader.push(chunk)
      if (messages === 'too_long') return void socket.destroy()
      for (const message of messages)
        this.#work = this.#work
          .then(() => this.#daemon.moving())
          .then(() => this.#execute(decodeIpcRequest(message), message))
    })
    socket.on('end', () => {
      void this.#work.then(() => this.leave())
    })
    socket.on('close', () => this.leave())
  }

  say(message: IpcMessage): void {
    if (this.#socket.destroyed) return
    const fits = this.#socket.write(encodeIpcFrame(encodeIpcMessage(message)))
    if (!fits)
      this.#drained ??= new Promise((resolve) => {
        const done = (): void => {
          this.#drained = undefined
          this.#socket.off('drain', done).off('close', done)
          resolve()
        }
        this.#socket.once('drain', done).once('close', done)
      })
  }

  /** All its streams are closed and its ports released. */
  leave(): void {
    if (!this.#daemon.clients.delete(this)) return
    for (const listener of this.#listeners) listener.close()
    for (const [port, owner] of this.#daemon.ports) if (owner === this) this.#daemon.ports.delete(port)
    for (const conn of this.#daemon.conns.values()) if (conn.client === this) this.#finish(conn)
    this.#socket.destroy()
  }

  async #execute(request: IpcRequest | IpcRequestFault, message: Uint8Array): Promise<void> {
    try {
      if (typeof request === 'string') throw new Error(faultText(request, message))
      await this.#obey(request)
    } catch (error) {
      this.say({ kind: 'error', text: (error as Error).message })
    }
  }

  async #obey(request: IpcRequest): Promise<void> {
    switch (request.kind) {
      case 'bind':
        return await this.#bind(request.port)
      case 'dial':
        return await this.#dial(request.address.node, request.port)
      case 'send':
        return await this.#send(request.connection, request.data)
      case 'close': {
        const conn = this.#daemon.conns.get(request.connection)
        if (conn !== undefined) this.#finish(conn)
        return this.say({ kind: 'close_ok', connection: request.connection })
      }
      case 'send_to':
        return await this.#sendTo(request.address.node, request.port, request.data)
      case 'handshake':
        return await this.#handshake(request)
      case 'query':
        return this.#query(request.query, fromUtf8(request.body))
    }
  }

  async #bind(port: number): Promise<void> {
    const { ports, options } = this.#daemon
    if (ports.has(port)) throw new Error(`port ${port} already bound`)
    ports.set(port, this)
    if (port > 0) {
      this.#listeners.push(
        await options.node.listen(port, (incoming) => {
          const stream = incoming.accept()
          const conn = this.#adopt(stream)
          this.say({
            kind: 'accept',
            port,
            connection: conn.id,
            remote: { network: 0, node: stream.peer },
            remotePort: stream.remotePort,
          })
          this.#follow(conn, false)
        }),
      )
    }
    this.say({ kind: 'bind_ok', port })
  }

  async #dial(node: number, port: number): Promise<void> {
    const stream = await this.#daemon.options.node.dial(`${node}:${port}`).catch((error: unknown) => {
      const { code } = asPilotError(error)
      throw new Error(
        code === 'CONNECTION_REFUSED'
          ? 'connection refused'
          : code === 'NOT_FOUND'
            ? `resolve node ${node}: registry: node ${node}: node not found`
            : 'dial timeout',
      )
    })
    const conn = this.#adopt(stream)
    this.say({ kind: 'dial_ok', connection: conn.id })
    this.#follow(conn, true)
  }

  #adopt(stream: OverlayStream): Conn {
    const conn: Conn = {
      id: this.#daemon.nextId++,
      stream,
      client: this,
      segments: [],
      state: 'ESTABLISHED',
      pushing: false,
      over: false,
      bytesSent: 0,
    }
    this.#daemon.conns.set(conn.id, conn)
    return conn
  }

  /** The receive queue: after 512 segments everything waits. */
  #follow(conn: Conn, dialled: boolean): void {
    const { stream } = conn
    const over = (): void => this.#finish(conn)
    stream.on('data', (bytes: Uint8Array) => {
      if (conn.state !== 'ESTABLISHED') return
      for (let at = 0; at < bytes.length; at += SEGMENT_BYTES)
        conn.segments.push(bytes.subarray(at, at + SEGMENT_BYTES))
      if (conn.segments.length > QUEUE_SEGMENTS && this.#drained !== undefined) this.#daemon.standStill(this.#drained)
      void this.#push(conn)
    })
    stream.on('error', over).once('close', over)
    // No half-close: the peer's FIN ends our side too. Our own client would have held back its FIN had it known it was
    // talking to a daemon.
    if (dialled) stream.once('end', over)
  }

  async #push(conn: Conn): Promise<void> {
    if (conn.pushing) return
    conn.pushing = true
    for (;;) {
      await this.#daemon.moving()
      await this.#drained
      const data = conn.segments.shift()
      if (data === undefined) break
      this.say({ kind: 'recv', connection: conn.id, data })
    }
    conn.pushing = false
    if (conn.over) this.say({ kind: 'close_ok', connection: conn.id })
  }

  /** FIN: both directions end; data already received is still delivered, then CloseOK. */
  #finish(conn: Conn): void {
    if (conn.state === 'TIME_WAIT') return
    conn.state = 'TIME_WAIT'
    conn.over = true
    conn.stream.on('error', () => {})
    conn.stream.end()
    conn.stream.resume()
    void this.#die(conn)
    void this.#push(conn)
  }

  /**
   * The node below does half-close, so a reset after the last byte must do what the FIN does to the other direction.
   */
  async #die(conn: Conn): Promise<void> {
    while (!conn.stream.destroyed && this.#daemon.unackedBytes(conn.stream) > 0) await pause(20)
    await pause(LINGER_MS)
    conn.stream.destroy()
    await pause(TIME_WAIT_MS)
    this.#daemon.conns.delete(conn.id)
  }

  async #send(connection: number, data: Uint8Array): Promise<void> {
    const conn = this.#daemon.conns.get(connection)
    if (conn === undefined) throw new Error(`connection ${connection} not found`)
    if (conn.state !== 'ESTABLISHED') throw new Error('send: connection not established')
    if (data.length === 0) return
    await new Promise<void>((resolve, reject) => {
      conn.stream.write(data, (error) => {
        conn.stream.off('close', resolve)
        if (error) reject(new Error('send: connection not established'))
        else resolve()
      })
      conn.stream.once('close', resolve)
    })
    conn.bytesSent += data.length
  }

  async #sendTo(node: number, port: number, data: Uint8Array): Promise<void> {
    if (data.length === 0) return
    await this.#daemon.sendTo(node, port, data).catch(() => {
      throw new Error(`sendto: resolve node ${node}: registry: node ${node}: node not found`)
    })
  }

  async #handshake({ sub, node = 0, text }: Extract<IpcRequest, { kind: 'handshake' }>): Promise<void> {
    const overlay = this.#daemon.options.node
    const answer = (value: object): void => this.say({ kind: 'json', to: 'handshake', text: JSON.stringify(value) })
    const unix = (at: string): number => Math.floor(Date.parse(at) / 1_000)
    switch (sub) {
      case 'pending':
        return answer({
          pending: (await overlay.pendingTrust()).map((entry) => ({
            justification: entry.justification,
            node_id: entry.nodeId,
            public_key: entry.publicKey,
            received_at: unix(entry.receivedAt),
          })),
        })
      case 'trusted':
        return answer({
          trusted: (await overlay.trusted()).map((entry) => ({
            approved_at: unix(entry.approvedAt),
            mutual: entry.mutual,
            network: 0,
            node_id: entry.nodeId,
            public_key: entry.publicKey,
          })),
        })
      case 'request':
        await overlay.requestTrust(String(node), text)
        return answer({ node_id: node, status: 'sent' })
      case 'approve':
        await overlay.approveTrust(node)
        return answer({ node_id: node, status: 'approved' })
      case 'reject':
        await overlay.rejectTrust(node)
        return answer({ node_id: node, status: 'rejected' })
      case 'revoke':
        if (!(await overlay.revokeTrust(node))) throw new Error(`handshake revoke: node ${node} was not trusted`)
        return answer({ node_id: node, status: 'revoked' })
    }
  }

  #query(query: Extract<IpcRequest, { kind: 'query' }>['query'], body: string): void {
    const answer = (text: string): void => this.say({ kind: 'json', to: query, text })
    if (query === 'info') return answer(this.#daemon.info())
    if (query === 'health')
      return answer(
        JSON.stringify({ bytes_recv: 0, bytes_sent: 0, connections: 0, peers: 0, status: 'ok', uptime_seconds: 0 }),
      )
    if (query !== 'resolve_hostname') throw new Error(`${query}: not part of this fake`)
    if (body === '') throw new Error('resolve_hostname: missing hostname')
    const node = this.#daemon.options.publicNames?.[body]
    if (node === undefined) throw new Error(`resolve_hostname: registry: hostname "${body}" not found`)
    answer(
      JSON.stringify({
        address: formatAddress({ network: 0, node }),
        hostname: body,
        node_id: node,
        public: true,
        type: 'resolve_hostname_ok',
      }),
    )
  }
}

function faultText(fault: IpcRequestFault, message: Uint8Array): string {
  const byte = (at: number, digits: 'toUpperCase' | 'toString'): string =>
    (message[at] ?? 0).toString(16).padStart(2, '0')[digits]()
  switch (fault) {
    case 'missing_port':
      return 'bind: missing port'
    case 'missing_address':
      return `${message[0] === 0x03 ? 'dial' : 'sendto'}: missing address/port`
    case 'missing_connection':
      return `${message[0] === 0x06 ? 'send' : 'close'}: missing conn_id`
    case 'missing_sub':
      return 'handshake: missing sub-command'
    case 'unknown_sub':
      return `handshake: unknown sub-command 0x${byte(1, 'toString')}`
    case 'missing_node':
      return `handshake ${['request', 'approve', 'reject', '', '', 'revoke'][message[1]! - 1] ?? ''}: missing node_id`
    default:
      return `unknown command: 0x${byte(0, 'toUpperCase')}`
  }
}

const SEGMENT_BYTES = 4_096
const QUEUE_SEGMENTS = 512
const WINDOW_BYTES = 262_144
const LINGER_MS = 300
const TIME_WAIT_MS = 1_000

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
