/** What the openings of SOCKS4, SOCKS5 and HTTP have in common. Above: proxy.ts. Below: socks4.ts, socks.ts, http-connect.ts. */
import type { PilotError } from '../../base/errors.ts'

/** What the opening of either protocol says. `reply` is what the client hears before it can say more. */
export type HeadNews =
  | { readonly kind: 'more'; readonly reply?: Uint8Array }
  | { readonly kind: 'connect' | 'associate'; readonly host: string; readonly port: number }
  | { readonly kind: 'http' } // a plain http:// request: the whole connection is HTTP
  | { readonly kind: 'refused'; readonly reply: Uint8Array; readonly why: string }

export interface ProxyHead {
  /** Takes what came and tells how much of `bytes`, all that has come and was not used yet, is used now. */
  push(bytes: Buffer): { readonly used: number; readonly news: HeadNews }
  accepted(bound: { readonly address: string; readonly port: number }): Uint8Array
  failed(error: PilotError): Uint8Array
}
