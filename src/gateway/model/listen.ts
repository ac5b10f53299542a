/** Local addresses and ports, as people write them. */
import { isIP } from 'node:net'
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint, isLoopback } from '../../base/types.ts'

/** `IP:PORT` of a listener; port 0 picks a free one. Undefined for anything else. */
export function parseListen(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const address = match?.[1] ?? match?.[2]
  const port = parsePort(match?.[3] ?? '', 0)
  if (address === undefined || port === undefined || isIP(address) !== (match![1] === undefined ? 4 : 6))
    return undefined
  return { address, port }
}

export function formatListen(address: string, port: number): string {
  return formatEndpoint({ address, port })
}

/** @param what listens there. @throws PilotError USAGE if other machines could reach it and that is not allowed. */
export function checkLoopback(address: string, allowLan: boolean, what: string): void {
  if (allowLan || isLoopback(address)) return
  throw new PilotError(
    'USAGE',
    `${what}: ${address} is not a loopback address, so other machines could use it; pass --allow-lan to allow that`,
    { local: address, needs: 'allow-lan' },
    undefined,
    'Pass --allow-lan, or listen on 127.0.0.1.',
  )
}

/** Decimal digits only: `Number` would also read "0x50", "8e1" and "". */
export function parsePort(text: string, least = 1): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port >= least && port <= 65_535 ? port : undefined
}

/** Bytes of a Unix socket path, without the closing zero (sun_path of unix(7)); macOS has four fewer. */
export const MAX_SOCKET_PATH_BYTES = 107
