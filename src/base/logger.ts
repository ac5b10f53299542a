/** Where log lines go. */

/** Fields first, then the sentence. Never a key, a ticket or a payload among the fields. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
