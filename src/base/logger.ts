/** Where log lines go. */

/** Fields first, then the sentence. Fields never hold a key, a ticket or a payload. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
