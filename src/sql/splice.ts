/**
 * Rewriting by splicing: what is not changed is the client's own bytes, so nothing that the parser did not understand
 * can be lost or printed differently. With no edits the result is the text, byte for byte (tested as a property).
 */
import { assert } from '../base/assert.ts'
import type { Span } from './ast.ts'
import { type Lexed, tokenEnd, tokenStart } from './lexer.ts'

/** Puts `text` in place of these tokens; an empty span (`from === to`) inserts before token `from`. */
export type Edit = { readonly span: Span; readonly text: string | Uint8Array }

/** The statement's text with the edits, which must not overlap; several insertions at one place keep their order. */
export function splice(lexed: Lexed, edits: readonly Edit[]): Buffer {
  const parts: Uint8Array[] = []
  const sorted = edits.toSorted((a, b) => a.span.from - b.span.from || a.span.to - b.span.to)
  let at = lexed.start
  let token = 0
  for (const edit of sorted) {
    const { from, to } = edit.span
    assert(from >= token && to >= from && to <= lexed.count, 'edits of a text overlap or lie outside of it')
    const inserted = typeof edit.text === 'string' ? Buffer.from(edit.text) : edit.text
    if (from === to) {
      // Behind the token before, with spaces, so that no token of ours melts into one of theirs.
      const place = from > 0 ? Math.max(at, tokenEnd(lexed, from - 1)) : at
      parts.push(lexed.bytes.subarray(at, place), space, inserted, space)
      at = place
    } else {
      parts.push(lexed.bytes.subarray(at, Math.max(at, tokenStart(lexed, from))), inserted)
      at = tokenEnd(lexed, to - 1)
    }
    token = to
  }
  parts.push(lexed.bytes.subarray(at, lexed.end))
  return Buffer.concat(parts)
}

/** The client's bytes of these tokens, comments and white space between them included. */
export function spanBytes(lexed: Lexed, span: Span): Buffer {
  if (span.from >= span.to) return lexed.bytes.subarray(0, 0)
  return lexed.bytes.subarray(tokenStart(lexed, span.from), tokenEnd(lexed, span.to - 1))
}

export function spanText(lexed: Lexed, span: Span): string {
  return spanBytes(lexed, span).toString('utf8')
}

const space = Buffer.from(' ')
