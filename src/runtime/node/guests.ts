/** Trust by ticket, at a node of our own. Above: node/node.ts. Below: the core, which asks the judge and keeps the pin. */
import { formatAddress } from '../../base/address.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import type { GuestDesk } from '../overlay.ts'

/** @param tell says the same straight to the peer, should it be public. */
export function guestDesk(
  core: OverlayCore,
  turn: (act: (now: number) => void) => void,
  tell: (peer: string, reason: string) => void,
): GuestDesk {
  return {
    judge: (judge) => {
      core.context.judge = judge
    },
    expect: (forMs) =>
      turn((now) => {
        core.context.guestsUntil = forMs <= 0 ? -Infinity : now + Math.min(forMs, MAX_EXPECTING_MS)
      }),
    ask: (node, key, reason) => {
      const peer = formatAddress({ network: 0, node })
      turn((now) => core.requestTrust(now, { peer, node, hostname: undefined, reason, key }))
      tell(peer, reason)
    },
  }
}

/** Guests mostly come within minutes; whoever comes later waits for an idle poll, a few seconds. The registry is not asked twice a second for days. */
const MAX_EXPECTING_MS = 600_000
