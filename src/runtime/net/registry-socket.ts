/** A connection to the registry, plain or TLS, directly or through a proxy, with the checks that the target asks for. */
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { RegistryRoute } from './endpoints.ts'
import { openTcp, proxyFor } from './proxy.ts'
import { PinMismatch, registryFault, type RegistryFault } from './registry-fault.ts'
import type { Place } from './rotation.ts'

export interface RegistrySocketEvents {
  /** Connected, and the certificate is the right one: its SHA-256, hex; undefined: plain TCP. */
  onReady(certificate: string | undefined): void
  onData(chunk: Uint8Array): void
  onClose(fault: RegistryFault): void
  /** By this registry, on any connection: then a failure has nothing to do with TLS. */
  hasAnswered(): boolean
}

export interface RegistrySocket {
  write(bytes: Uint8Array): void
  /** What was written is still sent. */
  end(): void
  destroy(why?: Error): void
}

export function openRegistry({ target, host }: Place<RegistryRoute>, events: RegistrySocketEvents): RegistrySocket {
  const { tls, fingerprint, port } = target
  const progress = { connected: false, secured: false }
  let problem: Error | undefined
  const via = proxyFor(target.proxy, target.address, port)
  const name = via === undefined ? host : target.address
  const raw = openTcp(name, port, via, CONNECT_TIMEOUT_MS, () => {
    progress.connected = true
    if (!tls) return onReady(undefined)
    const secure = connectTls({
      socket: raw,
      rejectUnauthorized: fingerprint === undefined,
      ...(isIP(target.address) === 0 ? { servername: target.address } : { host: target.address }),
    })
    outer = secure
    watch(secure)
    secure.once('secureConnect', () => {
      progress.secured = true
      const shown = certificateOf(secure, fingerprint)
      if (shown instanceof PinMismatch) secure.destroy(shown)
      else onReady(shown)
    })
  })
  let outer: Socket = raw
  const onReady = (certificate: string | undefined): void => {
    raw.setTimeout(0)
    outer.on('data', (chunk: Uint8Array) => events.onData(chunk))
    events.onReady(certificate)
  }
  const watch = (socket: Socket): void => {
    socket.on('error', (error) => {
      problem ??= error
    })
    socket.once('close', () => {
      if (socket === outer)
        events.onClose(registryFault(target, problem, { ...progress, answered: events.hasAnswered() }))
    })
  }
  watch(raw)
  raw.once('timeout', () => outer.destroy(new Error('no connection in time')))
  return {
    write: (bytes) => void outer.write(bytes),
    end: () => outer.destroySoon(),
    destroy: (why) => void outer.destroy(why),
  }
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
