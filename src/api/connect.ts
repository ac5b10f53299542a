/** Overlay streams for HTTP clients that accept a connect function, above all undici, and thus fetch. */
import type { Duplex } from 'node:stream'
import { asPilotError, PilotError } from '../base/errors.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { HTTP_PORT } from '../gateway/model/peer-host.ts'
import { overlayTarget } from './pilot-host.ts'

/** The part of undici's connect options that matters here. */
export interface ConnectOptions {
  readonly hostname: string
  readonly protocol?: string // `http:`
  readonly port?: string | number // '' and absent: 80
}

/** An open stream, or why there is none. */
export type ConnectCallback = (...result: [error: null, stream: Duplex] | [error: PilotError, stream: null]) => void

/**
 * `new undici.Agent({ connect: pilotConnect(node) })` is a dispatcher for undici's `request` and `fetch`. `https:` is
 * refused with USAGE: the overlay already encrypts and authenticates, and no one has a certificate for a peer.
 */
export function pilotConnect(
  node: Pick<Overlay, 'dial'>,
): (options: ConnectOptions, callback: ConnectCallback) => void {
  return (options, answer) => {
    void connect(node, options).then(
      (stream) => answer(null, stream),
      (error: unknown) => answer(asPilotError(error), null),
    )
  }
}

async function connect(
  node: Pick<Overlay, 'dial'>,
  { hostname, protocol = 'http:', port = '' }: ConnectOptions,
): Promise<Duplex> {
  if (protocol !== 'http:')
    throw new PilotError('USAGE', `${protocol}//${hostname}: use http: over the overlay, which encrypts it`, {
      protocol,
      hostname,
    })
  return await node.dial(overlayTarget(hostname, port === '' ? HTTP_PORT : Number(port)))
}
