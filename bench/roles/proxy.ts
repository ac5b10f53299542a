/**
 * The hand-built alternative to a gateway: a pair of proxies, plain or with TLS 1.3 between them. `near` takes
 * local connections and passes them to `far`, which passes them to the service.
 */
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { listen } from './service.ts'

export type ProxyKind = 'tcp-near' | 'tcp-far' | 'tls-near' | 'tls-far'

/** One port for each target, `HOST:PORT`. @param dir where `cert.pem` and `key.pem` are. */
export async function startProxy(
  kind: ProxyKind,
  host: string,
  dir: string,
  targets: readonly string[],
): Promise<Record<string, unknown>> {
  const ports: number[] = []
  for (const target of targets) ports.push(await startOne(kind, host, dir, target))
  return { ports }
}

async function startOne(kind: ProxyKind, host: string, dir: string, target: string): Promise<number> {
  const [targetHost, targetPort] = [
    target.slice(0, target.lastIndexOf(':')),
    Number(target.slice(target.lastIndexOf(':') + 1)),
  ]
  const plain = (): Socket => connect({ host: targetHost, port: targetPort, noDelay: true, allowHalfOpen: true })
  if (kind === 'tls-far') return await listenTls(host, dir, (socket) => splice(socket, plain()))
  const ca = kind === 'tls-near' ? readFileSync(join(dir, 'cert.pem')) : undefined
  const sealed = (): Socket => {
    const socket = connectTls({
      host: targetHost,
      port: targetPort,
      ...TLS,
      ...(ca !== undefined && { ca }),
      checkServerIdentity: () => undefined,
      allowHalfOpen: true,
    } as ConnectionOptions)
    socket.setNoDelay(true)
    return socket
  }
  return await listen(host, (socket) => splice(socket, kind === 'tls-near' ? sealed() : plain()))
}

async function listenTls(host: string, dir: string, onSocket: (socket: Socket) => void): Promise<number> {
  const server = createTlsServer(
    {
      cert: readFileSync(join(dir, 'cert.pem')),
      key: readFileSync(join(dir, 'key.pem')),
      ...TLS,
      allowHalfOpen: true,
      noDelay: true,
    },
    onSocket,
  )
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => {
    server.listen({ host, port: 0, backlog: 4_096 }, resolve)
  })
  return (server.address() as AddressInfo).port
}

function splice(socket: Socket, upstream: Socket): void {
  for (const [one, other] of [
    [socket, upstream],
    [upstream, socket],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', (hadError) => {
      if (hadError || !one.readableEnded) other.destroy()
    })
    one.pipe(other)
  }
}

const TLS = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_256_GCM_SHA384' } as const
