/** A socket to the registry, plain or TLS, with the checks that the target asks for. */
import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { RegistryTarget } from './endpoints.ts'
import { PinMismatch, registryFault, type RegistryFault } from './registry-fault.ts'

export interface RegistrySocketEvents {
  /** Connected, and the certificate is the right one: its SHA-256, hex; undefined: plain TCP. */
  onReady(certificate: string | undefined): void
  onClose(fault: RegistryFault): void
  /** By this registry, on any connection: then a failure has nothing to do with TLS. */
  hasAnswered(): boolean
}

export function openRegistry(target: RegistryTarget, events: RegistrySocketEvents): Socket {
  const { tls, fingerprint } = target
  const socket = connectTo(target)
  const progress = { connected: false, secured: false }
  let problem: Error | undefined
  socket.once('connect', () => {
    progress.connected = true
  })
  socket.once(tls ? 'secureConnect' : 'connect', () => {
    progress.secured = tls
    const shown = tls ? certificateOf(socket as TLSSocket, fingerprint) : undefined
    if (shown instanceof PinMismatch) socket.destroy(shown)
    else events.onReady(shown)
  })
  socket.on('error', (error) => {
    problem = error
  })
  socket.once('close', () =>
    events.onClose(registryFault(target, problem, { ...progress, answered: events.hasAnswered() })),
  )
  return socket
}

function connectTo({ address: host, port, tls, fingerprint }: RegistryTarget): Socket {
  const options = { host, port, noDelay: true, keepAlive: true, timeout: CONNECT_TIMEOUT_MS }
  if (!tls) return connect(options)
  return connectTls({
    ...options,
    rejectUnauthorized: fingerprint === undefined,
    ...(isIP(host) === 0 && { servername: host }),
  })
}

/**
 * After the handshake: SHA-256 of the other side's certificate, hex, or what is wrong with it. Node 20 tells it only
 * once.
 */
function certificateOf(socket: TLSSocket, pin: string | undefined): string | undefined | PinMismatch {
  const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
  return pin === undefined || shown === pin ? shown : new PinMismatch(shown, pin)
}

const CONNECT_TIMEOUT_MS = 5_000
