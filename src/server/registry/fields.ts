/**
 * The fields of an object that somebody else wrote, read by the reference's rules (registry.md §1.2): a field of the
 * wrong type counts as absent, a number out of range as 0, and a fraction is cut.
 */
export class Fields {
  readonly #object: object

  constructor (object: object) {
    this.#object = object
  }

  /** A u32; ids, counts. */
  number (name: string): number {
    const value = this.#own(name)
    if (typeof value !== 'number') return 0
    const whole = Math.trunc(value)
    return whole > 0 && whole <= 0xffff_ffff ? whole : 0
  }

  /** Unix milliseconds, or 0; only our own records hold them. */
  milliseconds (name: string): number {
    const value = this.#own(name)
    return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
  }

  text (name: string): string {
    const value = this.#own(name)
    return typeof value === 'string' ? value : ''
  }

  flag (name: string): boolean {
    return this.#own(name) === true
  }

  texts (name: string): readonly string[] {
    const value = this.#own(name)
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  }

  #own (name: string): unknown {
    return Object.hasOwn(this.#object, name) ? (this.#object as Record<string, unknown>)[name] : undefined
  }
}
