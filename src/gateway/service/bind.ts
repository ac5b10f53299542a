/**
 * Where a mapping listens: the requested address, or the peer's own loopback address, with a fallback if that cannot be
 * bound. Above: map/tcp.ts, map/udp.ts. Below: loopback-pool.ts.
 */
import { PilotError } from '../../base/errors.ts'
import { checkLoopback } from '../model/listen.ts'
import type { LoopbackPool } from './loopback-pool.ts'
import type { MapSpec } from '../model/map-spec.ts'

/** Binds, or rejects with `listenError`. */
export type Bind = (address: string, port: number) => Promise<void>

/** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
export async function bindMapping(
  { localAddress, localPort, peer, name }: MapSpec,
  { pool, allowLan }: { readonly pool: LoopbackPool; readonly allowLan: boolean },
  bind: Bind,
): Promise<void> {
  if (localAddress !== undefined) {
    checkLoopback(localAddress, allowLan, `mapping ${name}`)
    await bind(localAddress, localPort)
    return
  }
  let address = pool.addressOf(peer)
  for (let attempt = 1; ; attempt++) {
    try {
      await bind(address, localPort)
      return
    } catch (error) {
      if (error instanceof PilotError && error.code === 'ADDRESS_UNAVAILABLE') {
        await bindPlainLoopback(localPort, bind)
        return
      }
      const other =
        error instanceof PilotError && error.code === 'PORT_IN_USE' ? pool.another(peer, attempt) : undefined
      if (other === undefined) throw error
      address = other
    }
  }
}

/**
 * Whether one would listen at the other's address. @param local of the other, ip:port: a mapping on a free port can
 * stay there.
 */
export function isSamePlace(wanted: MapSpec, running: MapSpec, local: string): boolean {
  const samePort = wanted.localPort === running.localPort || local.endsWith(`:${wanted.localPort}`)
  return (
    samePort &&
    wanted.localAddress === running.localAddress &&
    (wanted.localAddress !== undefined || wanted.peer === running.peer)
  )
}

/** If only 127.0.0.1 can be bound (macOS without aliases), mappings differ by port. */
async function bindPlainLoopback(port: number, bind: Bind): Promise<void> {
  try {
    await bind('127.0.0.1', port)
  } catch (error) {
    if (!(error instanceof PilotError) || (error.code !== 'PORT_IN_USE' && error.code !== 'PORT_FORBIDDEN')) throw error
    await bind('127.0.0.1', 0)
  }
}

/** Clients that the kernel queues while we are busy: a browser opens dozens at once, a load test hundreds. */
export const BACKLOG = 1_024
