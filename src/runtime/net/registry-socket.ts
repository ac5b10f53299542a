/** A socket to the registry, plain or TLS, with the checks that the target asks for. */
import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { RegistryTarget } from './endpoints.ts'
import { PinMismatch } from './registry-fault.ts'

export function openRegistry({ address: host, port, tls, fingerprint }: RegistryTarget): Socket {
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
export function certificateOf(socket: TLSSocket, pin: string | undefined): string | undefined | PinMismatch {
  const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
  return pin === undefined || shown === pin ? shown : new PinMismatch(shown, pin)
}

const CONNECT_TIMEOUT_MS = 5_000
