/** Tokens of a statement as words. */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'

export class Words {
  readonly #lexed: Lexed
  constructor(lexed: Lexed) {
    this.#lexed = lexed
  }

  raw(i: number): string {
    const l = this.#lexed
    return i < 0 || i >= l.count ? '' : l.bytes.toString('utf8', tokenStart(l, i), tokenEnd(l, i))
  }

  /** In upper case when it is a bare word or an operator; '' for quoted names and literals. */
  at(i: number): string {
    if (i < 0 || i >= this.#lexed.count) return ''
    const kind = tokenKind(this.#lexed, i)
    return kind === Kind.Word || kind === Kind.Operator ? this.raw(i).toUpperCase() : ''
  }

  has(word: string): boolean {
    for (let i = 0; i < this.#lexed.count; i++) if (this.at(i) === word) return true
    return false
  }

  /** Whether nothing but these stands from a token on. */
  only(from: number, known: readonly string[]): boolean {
    for (let i = from; i < this.#lexed.count; i++) if (!known.includes(this.at(i))) return false
    return true
  }

  name(i: number): string {
    const raw = this.raw(i)
    const quote = raw[0]
    return quote === '`' || quote === '"' ? raw.slice(1, -1).replaceAll(quote + quote, quote) : raw
  }

  between(from: number, to: number): string {
    const l = this.#lexed
    return l.bytes.toString('utf8', tokenStart(l, from), tokenEnd(l, to - 1))
  }

  text(): string {
    let out = ''
    for (let i = 0; i < Math.min(this.#lexed.count, 24); i++) out += ` ${this.at(i)}`
    return out
  }

  /** The pattern of `LIKE '…'` at the end. */
  like(): string | null {
    const i = this.#lexed.count - 2
    return i > 0 && this.at(i) === 'LIKE' ? this.raw(i + 1).slice(1, -1) : null
  }
}

/** Names and bare words of a statement, in lower case: among them are its tables. */
export function wordsOf(lexed: Lexed): ReadonlySet<string> {
  const words = new Words(lexed)
  const found = new Set<string>()
  for (let i = 0; i < lexed.count; i++) {
    const kind = tokenKind(lexed, i)
    if (kind === Kind.Word || kind === Kind.QuotedName)
      found.add(
        words
          .raw(i)
          .replaceAll(/^[`"]|[`"]$/g, '')
          .toLowerCase(),
      )
  }
  return found
}
