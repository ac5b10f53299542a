/** What a person here calls the one who gets a ticket: for tables and logs, never an identity. */

export function isGuestLabel(text: string): boolean {
  return /^[\p{L}\p{N}._@+-][\p{L}\p{N} ._@+-]{0,39}$/u.test(text)
}

export const GUEST_LABEL_FORM = 'letters, digits, spaces and . _ @ + -, at most 40 characters'
