/** PILA as a tunnel remembers them: compared, copied, named. Above: tunnel.ts. */
import { equalBytes, toBase64 } from '../../base/bytes.ts'
import type { AuthFrame } from '../../wire/tunnel-frames.ts'

/** Names its session under our key: one with a binding is derived differently. */
export function labelOf({ x25519, binding }: AuthFrame): string {
  return binding === undefined ? toBase64(x25519) : `${toBase64(x25519)} bound`
}

export function sameAuth(a: AuthFrame, b: AuthFrame): boolean {
  return (
    a.sender === b.sender &&
    equalBytes(a.x25519, b.x25519) &&
    equalBytes(a.ed25519, b.ed25519) &&
    equalBytes(a.signature, b.signature) &&
    a.binding?.recipient === b.binding?.recipient &&
    (a.binding === undefined || b.binding === undefined || equalBytes(a.binding.signature, b.binding.signature))
  )
}

/** We may not keep the datagram's buffer. */
export function copyOf({ sender, x25519, ed25519, signature, binding }: AuthFrame): AuthFrame {
  return {
    sender,
    x25519: x25519.slice(),
    ed25519: ed25519.slice(),
    signature: signature.slice(),
    binding: binding && { recipient: binding.recipient, signature: binding.signature.slice() }, // the continuation has served its purpose
  }
}
