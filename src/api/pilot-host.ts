/** Maps the host of a URL or gRPC target to a peer, if every host belongs to the overlay. */
import { PilotError } from '../base/errors.ts'
import { DEFAULT_DOMAIN, peerOfHost } from '../gateway/model/peer-host.ts'

/**
 * `PEER:PORT` for `Overlay.dial`. The host is `alice.pilot`, `alice.pilot.localhost`, `alice`, an overlay address (with
 * or without brackets) or a node id, also as `5.pilot`.
 * @throws PilotError USAGE for any other host, which is never looked up elsewhere.
 */
export function overlayTarget(host: string, port: number): string {
  const peer = peerOfHost(host, DEFAULT_DOMAIN, () => undefined)
  if (peer === undefined) {
    throw new PilotError(
      'USAGE',
      `"${host}" is not an overlay host: expected NAME.pilot, NAME.pilot.localhost, an overlay address or a node id`,
      { host },
    )
  }
  return `${peer}:${port}`
}

/** The same for `HOST:PORT`, or `HOST` alone. @throws PilotError USAGE. */
export function overlayTargetOf(authority: string, defaultPort: number): string {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority)
  if (match === null)
    throw new PilotError('USAGE', `"${authority}": expected HOST or HOST:PORT, with an overlay address in brackets`)
  return overlayTarget(match[1]!, Number(match[2] ?? defaultPort))
}
