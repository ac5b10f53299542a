/**
 * Which key a hostname means (decision 30). A name is bound to a key when a person decides so, and means that key from
 * then on, whatever a registry or the node itself says later. Pins in the configuration take precedence.
 */
import { isHostname } from '../../base/address.ts'

/**
 * The keys, base64, that a name is bound to: normally one. Several, from an old trust file: then the name means no one.
 */
export type NameMeaning =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'ambiguous'; readonly keys: readonly string[] }

export class NameBook {
  readonly #pins: ReadonlyMap<string, string> // name → key
  readonly #pinned = new Map<string, string>() // key → its first name
  readonly #keys = new Map<string, readonly string[]>() // name → keys
  readonly #names = new Map<string, string>() // key → name

  /** @param pins names of the configuration and their keys, base64. */
  constructor(pins: ReadonlyMap<string, string>) {
    this.#pins = pins
    for (const [name, key] of pins) if (!this.#pinned.has(key)) this.#pinned.set(key, name)
  }

  meaningOf(name: string): NameMeaning | undefined {
    const pin = this.#pins.get(name)
    if (pin !== undefined) return { kind: 'key', key: pin }
    const keys = this.#keys.get(name)
    if (keys === undefined) return undefined
    return keys.length === 1 ? { kind: 'key', key: keys[0]! } : { kind: 'ambiguous', keys }
  }

  means(name: string, key: string): boolean {
    const meaning = this.meaningOf(name)
    return meaning?.kind === 'key' && meaning.key === key
  }

  /** The name means a different key, or several. */
  isTaken(name: string, key: string): boolean {
    return this.meaningOf(name) !== undefined && !this.means(name, key)
  }

  /** The name for the owner of this key: a pin's name takes precedence over the one it was trusted under. */
  nameOf(key: string): string | undefined {
    const pinned = this.#pinned.get(key)
    if (pinned !== undefined) return pinned
    const name = this.#names.get(key)
    return name !== undefined && this.means(name, key) ? name : undefined
  }

  /** The name that the key was trusted under, in force or not, as saved in the trust file. */
  boundTo(key: string): string | undefined {
    return this.#names.get(key)
  }

  /**
   * @returns false if the name already means a different key, or the key has a different name: then nothing changes.
   */
  bind(name: string, key: string): boolean {
    if (!isHostname(name) || this.isTaken(name, key) || this.#names.has(key)) return false
    this.restore(name, key)
    return true
  }

  /** As in a trust file, in which another key may have the same name. */
  restore(name: string, key: string): void {
    this.#names.set(key, name)
    this.#keys.set(name, [...(this.#keys.get(name) ?? []), key])
  }

  /** Trust in this key has ended: its name is free. */
  free(key: string): void {
    const name = this.#names.get(key)
    if (name === undefined) return
    this.#names.delete(key)
    const others = this.#keys.get(name)!.filter((other) => other !== key)
    if (others.length === 0) this.#keys.delete(name)
    else this.#keys.set(name, others)
  }

  /** Names with several trusted keys. */
  get ambiguous(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#keys].filter(([name, keys]) => keys.length > 1 && !this.#pins.has(name)))
  }
}
