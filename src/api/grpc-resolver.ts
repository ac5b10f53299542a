/**
 * `pilot:` as a scheme of `@grpc/grpc-js` clients. They dial on their own, and only system sockets, so each target gets
 * a Unix socket in a private folder; connections to it are spliced to overlay streams.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as Grpc from '@grpc/grpc-js'
import { asPilotError, PilotError } from '../base/errors.ts'
import { resetSocket, splice } from '../gateway/service/splice.ts'
import type { Overlay, OverlayStream } from '../runtime/overlay.ts'
import { overlayTargetOf } from './pilot-host.ts'

/** The part of the package that we use. Our types do not import the package: only its users have it. */
export interface GrpcResolving {
  readonly experimental: {
    registerResolver(scheme: string, resolver: never): void
    statusOrFromValue(value: never): object
    statusOrFromError(error: never): object
  }
}

export interface PilotResolver {
  /** Ends every connection; clients that stay get UNAVAILABLE. Idempotent. */
  close(): void
}

/**
 * From now on clients of this grpc reach `pilot://agent-b:50051` (also `pilot:agent-b:50051`) through `node`. The
 * scheme is global to the process: a second node needs a different one. If the environment sets a proxy, use the
 * channel option `'grpc.enable_http_proxy': 0`. A target that cannot be dialled is status UNAVAILABLE, with our code in
 * its details.
 * @param grpc the package itself: `import * as grpc from '@grpc/grpc-js'`, 1.14 or later.
 */
export function registerPilotResolver(
  grpc: GrpcResolving,
  node: Pick<Overlay, 'dial'>,
  { scheme = 'pilot' }: { readonly scheme?: string } = {},
): PilotResolver {
  const bridges = new Bridges(node)
  const { experimental } = grpc as typeof Grpc
  experimental.registerResolver(
    scheme,
    class extends TargetResolver {
      constructor(target: Grpc.experimental.GrpcUri, listener: Grpc.experimental.ResolverListener) {
        super(experimental, bridges, target, listener)
      }

      static getDefaultAuthority({ path }: Grpc.experimental.GrpcUri): string {
        return withoutSlashes(path)
      }
    },
  )
  return { close: () => bridges.close() }
}

/** One per channel and period of use, created by grpc, which queries it again after every failure to connect. */
class TargetResolver implements Grpc.experimental.Resolver {
  readonly #grpc: typeof Grpc.experimental
  readonly #bridges: Bridges
  readonly #authority: string
  readonly #listener: Grpc.experimental.ResolverListener
  #wanted = false

  constructor(
    grpc: typeof Grpc.experimental,
    bridges: Bridges,
    { path }: Grpc.experimental.GrpcUri,
    listener: Grpc.experimental.ResolverListener,
  ) {
    this.#grpc = grpc
    this.#bridges = bridges
    this.#authority = withoutSlashes(path)
    this.#listener = listener
  }

  updateResolution(): void {
    if (this.#wanted) return
    this.#wanted = true
    setImmediate(() => {
      void this.#answer()
    }) // never while grpc asks
  }

  destroy(): void {
    this.#wanted = false
  }

  async #answer(): Promise<void> {
    let answer: Parameters<Grpc.experimental.ResolverListener>[0]
    try {
      const bridge = await this.#bridges.to(this.#authority)
      await bridge.probe()
      answer = this.#grpc.statusOrFromValue<Grpc.experimental.Endpoint[]>([{ addresses: [{ path: bridge.path }] }])
    } catch (error) {
      const { code, message } = asPilotError(error)
      answer = this.#grpc.statusOrFromError({ code: STATUS_UNAVAILABLE, details: `${code}: ${message}` })
    }
    if (!this.#wanted) return // destroyed in the meantime
    this.#wanted = false
    this.#listener(answer, {}, null, '')
  }
}

/** A Unix socket for each target, made on first use. */
class Bridges {
  readonly #node: Pick<Overlay, 'dial'>
  readonly #byTarget = new Map<string, Promise<Bridge>>()
  #folder: string | undefined
  #closed = false

  constructor(node: Pick<Overlay, 'dial'>) {
    this.#node = node
  }

  /** @throws PilotError USAGE, TOO_MANY, SHUTTING_DOWN. */
  async to(authority: string): Promise<Bridge> {
    const target = overlayTargetOf(authority, DEFAULT_PORT)
    if (this.#closed) throw new PilotError('SHUTTING_DOWN', `${target}: the resolver has been closed`)
    const known = this.#byTarget.get(target)
    if (known !== undefined) return await known
    if (this.#byTarget.size >= MAX_TARGETS)
      throw new PilotError('TOO_MANY', `${target}: ${MAX_TARGETS} targets are in use already`)
    this.#folder ??= mkdtempSync(join(tmpdir(), 'pilot-grpc-')) // mode 0700
    const opening = Bridge.open(this.#node, target, join(this.#folder, `${this.#byTarget.size}`))
    this.#byTarget.set(target, opening)
    opening.catch(() => this.#byTarget.delete(target))
    return await opening
  }

  close(): void {
    this.#closed = true
    for (const opening of this.#byTarget.values())
      opening.then(
        (bridge) => bridge.close(),
        () => {},
      )
    this.#byTarget.clear()
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
  }
}

class Bridge {
  readonly path: string
  readonly #target: string
  readonly #node: Pick<Overlay, 'dial'>
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #closed = false
  /** Dialled before grpc connects: for the next connection, if it comes soon. */
  #spare: OverlayStream | undefined

  private constructor(node: Pick<Overlay, 'dial'>, target: string, path: string) {
    this.#node = node
    this.#target = target
    this.path = path
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      void this.#join(socket)
    })
    this.#server.unref() // a program that has nothing else to do may end
  }

  static async open(node: Pick<Overlay, 'dial'>, target: string, path: string): Promise<Bridge> {
    const bridge = new Bridge(node, target, path)
    await new Promise<void>((resolve, reject) => bridge.#server.once('error', reject).listen(path, resolve))
    return bridge
  }

  /** A Unix socket can only be reset, so the reason is available here. @throws PilotError: like `dial`. */
  async probe(): Promise<void> {
    if (this.#sockets.size > 0 || this.#spare !== undefined) return
    const stream = await this.#node.dial(this.#target)
    stream.on('error', () => {}) // 'close' follows
    if (this.#closed || this.#spare !== undefined) {
      // another channel was faster
      stream.destroy()
      return
    }
    stream.once('close', () => {
      if (this.#spare === stream) this.#spare = undefined
    })
    setTimeout(() => {
      if (this.#spare === stream) stream.destroy()
    }, SPARE_MS).unref()
    this.#spare = stream
  }

  close(): void {
    this.#closed = true
    this.#server.close()
    this.#spare?.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }

  async #join(socket: Socket): Promise<void> {
    this.#sockets.add(socket)
    const giveUp = new AbortController()
    socket.once('close', () => {
      this.#sockets.delete(socket)
      giveUp.abort()
    })
    socket.on('error', () => {}) // 'close' follows
    try {
      const stream = this.#takeSpare() ?? (await this.#node.dial(this.#target, giveUp.signal))
      if (socket.destroyed) stream.on('error', () => {}).destroy()
      else splice(socket, stream, () => {})
    } catch {
      resetSocket(socket) // grpc queries the resolver again, which reports the reason
    }
  }

  #takeSpare(): OverlayStream | undefined {
    const spare = this.#spare
    this.#spare = undefined
    return spare
  }
}

/** In `pilot://agent-b:50051` grpc takes everything after the colon for the path. */
function withoutSlashes(path: string): string {
  return path.replace(/^\/+/, '')
}

/** grpc's own default is 443, for TLS. Here nothing is TLS, and the owner of a service chooses the port. */
const DEFAULT_PORT = 80
/** Targets of one process; more than that is a leak of made-up names. */
const MAX_TARGETS = 1_024
/** grpc connects as soon as it knows the address; if it does not, the stream is not needed. */
const SPARE_MS = 5_000
const STATUS_UNAVAILABLE = 14
