/**
 * Reads fields of an untrusted object by the reference's rules (registry.md §1.2): a field of the wrong type counts as
 * absent, a number out of range as 0, and a fraction is cut.
 */
export class Fields {
  readonly #object: object

  constructor(object: object) {
    this.#object = object
  }

  /** A u32; ids, counts. */
  number(name: string): number {
    const value = this.#own(name)
    if (typeof value !== 'number') return 0
    const whole = Math.trunc(value)
    return whole > 0 && whole <= 0xffff_ffff ? whole : 0
  }

  /** Unix milliseconds, or 0; only our own records hold them. */
  milliseconds(name: string): number {
    const value = this.#own(name)
    return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
  }

  /** Any integer, truncating fractions; undefined if it is not a number. */
  integer(name: string): number | undefined {
    const value = this.#own(name)
    return typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : undefined
  }

  /** As sent; undefined if it is not a number. */
  raw(name: string): number | undefined {
    const value = this.#own(name)
    return typeof value === 'number' ? value : undefined
  }

  /** Undefined if it is not a list. */
  list(name: string): readonly unknown[] | undefined {
    const value = this.#own(name)
    return Array.isArray(value) ? value : undefined
  }

  /** Undefined if it is not a string. */
  optionalText(name: string): string | undefined {
    const value = this.#own(name)
    return typeof value === 'string' ? value : undefined
  }

  text(name: string): string {
    return this.optionalText(name) ?? ''
  }

  flag(name: string): boolean {
    return this.#own(name) === true
  }

  texts(name: string): readonly string[] {
    const value = this.#own(name)
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  }

  numbers(name: string): readonly number[] {
    return (this.list(name) ?? []).filter((item) => typeof item === 'number')
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#object, name) ? (this.#object as Record<string, unknown>)[name] : undefined
  }
}
