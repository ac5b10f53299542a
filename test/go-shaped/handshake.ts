/** A trust message of a Go-shaped node, for port 444 (trust.md §3.1). */
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import type { NodeId } from '../../src/base/types.ts'
import type { Identity } from '../../src/crypto/identity.ts'
import type { HandshakeType } from '../../src/wire/handshake-message.ts'
import { formatHandshakeMessage, handshakeChallenge } from '../../src/wire/handshake-message.ts'

export function handshakeMessage(
  identity: Identity,
  type: HandshakeType,
  from: NodeId,
  to: NodeId,
  unixSeconds: number,
): Uint8Array {
  return formatHandshakeMessage({
    type,
    nodeId: from,
    publicKey: identity.publicKeyBase64,
    justification: 'hello',
    signature: toBase64(identity.sign(utf8(handshakeChallenge(from, to)))),
    reason: '',
    timestamp: unixSeconds,
  })
}
