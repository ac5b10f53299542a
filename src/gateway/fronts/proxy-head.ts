/**
 * The common part of SOCKS4, SOCKS5 and HTTP openings. Above: proxy.ts. Below: socks4.ts, socks.ts, http-connect.ts.
 */
import type { PilotError } from '../../base/errors.ts'

/** The result of parsing an opening. `reply` is sent before the client can continue. */
export type HeadNews =
  | { readonly kind: 'more'; readonly reply?: Uint8Array }
  | { readonly kind: 'connect' | 'associate'; readonly host: string; readonly port: number }
  | { readonly kind: 'http' } // a plain http:// request: the whole connection is HTTP
  | { readonly kind: 'refused'; readonly reply: Uint8Array; readonly why: string }

export interface ProxyHead {
  /** Parses `bytes`, everything received and not consumed yet, and reports how many it consumes. */
  push(bytes: Buffer): { readonly used: number; readonly news: HeadNews }
  accepted(bound: { readonly address: string; readonly port: number }): Uint8Array
  failed(error: PilotError): Uint8Array
}
