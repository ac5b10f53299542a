/** The entries of an allow-list. A mapping can also name its peers by tag. */
import { parsePeerName, withoutBrackets } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'

/** What an entry of an allow-list means; undefined if it cannot be parsed. */
export type Allowed =
  | { readonly kind: 'trusted' }
  | { readonly kind: 'invited' } // only by ticket
  | { readonly kind: 'peer'; readonly peer: string } // hostname, address or node id
  | { readonly kind: 'key'; readonly key: string } // base64, Ed25519
  | { readonly kind: 'network'; readonly network: number }
  | { readonly kind: 'tag'; readonly tag: string }

export function parseAllow(text: string): Allowed | undefined {
  if (text === TRUSTED) return { kind: 'trusted' }
  if (text === INVITED) return { kind: 'invited' }
  const [, prefix, rest] = /^(key|net|tag):(.*)$/s.exec(text) ?? []
  switch (prefix) {
    case 'key': {
      const bytes = fromBase64(rest!)
      return bytes?.length === 32 ? { kind: 'key', key: rest! } : undefined
    }
    case 'net':
      return /^\d{1,5}$/.test(rest!) && Number(rest) <= 0xffff ? { kind: 'network', network: Number(rest) } : undefined
    case 'tag':
      return isTag(rest!) ? { kind: 'tag', tag: rest! } : undefined
    default:
      return parsePeerName(text) === undefined ? undefined : { kind: 'peer', peer: withoutBrackets(text) }
  }
}

/** An entry of an allow-list, a peer without brackets; undefined if it cannot be parsed. */
export function parseAllowed(text: string): string | undefined {
  return parseAllow(text) === undefined ? undefined : withoutBrackets(text)
}

/** A tag as the registry accepts it. */
export function isTag(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(text)
}

/** The tag of `tag:NAME`; undefined for anything else. */
export function tagOf(text: string): string | undefined {
  const allowed = text.startsWith('tag:') ? parseAllow(text) : undefined
  return allowed?.kind === 'tag' ? allowed.tag : undefined
}

/**
 * Holders of a ticket for the exposure. A ticket admits regardless of the list; alone, this entry admits no one else.
 */
export const INVITED = 'invited'

/** Every trusted peer. */
export const TRUSTED = 'trusted'

export const ALLOW_FORM = 'a hostname, an address such as 0:0000.0000.0004, a node id, key:BASE64, net:ID or tag:NAME'

export const TAG_FORM = 'a tag: lower-case letters, digits and inner hyphens, at most 32'
