/** A cursor over tokens, with the questions that a recursive-descent parser asks. Errors: SW-SQL-004, 007. */
import type { Name, Query, Span, TableName } from './ast.ts'
import { near, sqlErrors } from './errors.ts'
import { Kind, type Lexed } from './lexer.ts'

/** Also how far it is worth looking ahead for what ends a run of `(`. */
export const depthMax = 600
/** Levels of the tree that no nesting of the text accounts for. Who walks the tree recurs, and the stack has room for both together, several times over. */
const grownMax = 1000

export class Reader {
  readonly lexed: Lexed
  at = 0
  #depth = 0
  /**
   * How many levels of what was read last come of operators one behind the other, as each of `a + b + c`, of `a COLLATE x COLLATE y` and of `a JOIN b JOIN c` takes in what stands before it: the most of any path. Who reads
   * such a chain begins at 0 and, at its end, leaves the greater of its own and what was there; so chains within chains add up.
   */
  grown = 0
  /** By token, of each `(`. */
  #closing: Int32Array | null = null
  /** How a subquery is read, or what follows the first of its parts: given by parse.ts, as select and expression need each other. */
  readonly query: (reader: Reader, first?: { readonly query: Query; readonly from: number }) => Query
  /** Number of the next `?`. */
  parameter = 0

  constructor(lexed: Lexed, query: Reader['query']) {
    this.lexed = lexed
    this.query = query
  }

  kind(ahead = 0): Kind {
    const token = this.at + ahead
    return token < this.lexed.count ? (this.lexed.tokens[token * 3] as Kind) : Kind.End
  }

  /** The token's own text, one character a byte. */
  text(ahead = 0): string {
    const token = this.at + ahead
    if (token >= this.lexed.count) return ''
    const { tokens, bytes } = this.lexed
    return bytes.toString('latin1', tokens[token * 3 + 1], tokens[token * 3 + 2])
  }

  /** The unquoted word in upper case; '' for any other token. */
  word(ahead = 0): string {
    return this.kind(ahead) === Kind.Word ? this.text(ahead).toUpperCase() : ''
  }

  isWord(word: string, ahead = 0): boolean {
    return this.word(ahead) === word
  }

  isOperator(operator: string, ahead = 0): boolean {
    if (this.kind(ahead) !== Kind.Operator) return false
    const { tokens, bytes } = this.lexed
    const token = (this.at + ahead) * 3
    const start = tokens[token + 1] as number
    if ((tokens[token + 2] as number) - start !== operator.length) return false
    for (let i = 0; i < operator.length; i++) if (bytes[start + i] !== operator.charCodeAt(i)) return false
    return true
  }

  /** Reads these words if they are next, all of them. */
  takeWords(...words: string[]): boolean {
    for (let i = 0; i < words.length; i++) if (this.word(i) !== words[i]) return false
    this.at += words.length
    return true
  }

  takeOneOf(...words: string[]): string | null {
    const word = this.word()
    if (word === '' || !words.includes(word)) return null
    this.at++
    return word
  }

  takeOperator(operator: string): boolean {
    if (!this.isOperator(operator)) return false
    this.at++
    return true
  }

  expectWord(word: string): void {
    if (!this.takeWords(word)) this.fail(word)
  }

  expectOperator(operator: string): void {
    if (!this.takeOperator(operator)) this.fail(operator)
  }

  span(from: number): Span {
    return { from, to: this.at }
  }

  atEnd(): boolean {
    return this.at >= this.lexed.count
  }

  /** Goes on behind the parenthesis that closes the one which was read last. */
  skipParentheses(): void {
    let depth = 1
    while (depth > 0) {
      if (this.atEnd()) this.fail(')')
      // What is skipped is not in the tree: a table in there would be routed by nobody, and a variable be the server's own.
      if (this.isWord('SELECT')) this.refuse('a subquery at this place')
      if (this.kind() === Kind.UserVariable || this.kind() === Kind.SystemVariable) this.refuse('a variable at this place')
      if (this.isOperator('(')) depth++
      else if (this.isOperator(')')) depth--
      if (this.kind() === Kind.Parameter) this.parameter++
      this.at++
    }
  }

  /** Goes to the end of the statement. */
  skipRest(): void {
    while (!this.atEnd()) {
      if (this.kind() === Kind.Parameter) this.parameter++
      this.at++
    }
  }

  deeper<T>(read: () => T): T {
    if (++this.#depth > depthMax) throw sqlErrors.tooDeep({ limit: depthMax })
    const result = read()
    this.#depth--
    return result
  }

  /** One more level around all that this chain has read. */
  grow(): void {
    if (++this.grown > grownMax) throw sqlErrors.tooDeep({ limit: grownMax })
  }

  /** How far ahead the parenthesis closes that opens `ahead`; null: none does. All are matched at once, the first time: who asks at each of many that are within one another looks at each token once. */
  closes(ahead: number): number | null {
    if (this.#closing === null) {
      this.#closing = new Int32Array(this.lexed.count).fill(-1)
      const open: number[] = []
      for (let token = 0; token < this.lexed.count; token++) {
        if (this.isOperator('(', token - this.at)) open.push(token)
        else if (this.isOperator(')', token - this.at)) this.#closing[open.pop() ?? token] = token
      }
    }
    const closing = this.#closing[this.at + ahead] ?? -1
    return closing < 0 ? null : closing - this.at
  }

  isName(ahead = 0): boolean {
    const kind = this.kind(ahead)
    return kind === Kind.Word || kind === Kind.QuotedName
  }

  /** A name, quoted or not; any word is taken, reserved or not: the caller has looked. */
  name(expected = 'a name'): Name {
    if (!this.isName()) this.fail(expected)
    const from = this.at
    const text = nameText(this.text())
    this.at++
    return { text, span: this.span(from) }
  }

  tableName(): TableName {
    const from = this.at
    // `.t` is the table t of the current database.
    this.takeOperator('.')
    const first = this.name('a table')
    if (this.takeOperator('.')) return { schema: first, name: this.name('a table'), span: this.span(from) }
    return { schema: null, name: first, span: this.span(from) }
  }

  fail(expected: string): never {
    const { tokens, bytes, count, end } = this.lexed
    const offset = this.at < count ? (tokens[this.at * 3 + 1] as number) : end
    throw sqlErrors.syntax({ near: near(bytes.subarray(0, end), offset), expected })
  }

  refuse(construct: string): never {
    const { tokens, bytes, count, end } = this.lexed
    const offset = this.at < count ? (tokens[this.at * 3 + 1] as number) : end
    throw sqlErrors.unsupportedConstruct({ construct, near: near(bytes.subarray(0, end), offset) })
  }
}

/** Takes a name's quotes away and reads its bytes as UTF-8. */
export function nameText(text: string): string {
  const quote = text[0]
  const inner = quote === '`' || quote === '"' ? text.slice(1, -1).replaceAll(quote + quote, quote) : text
  for (let i = 0; i < inner.length; i++) if (inner.charCodeAt(i) >= 0x80) return Buffer.from(inner, 'latin1').toString('utf8')
  return inner
}

/** `x`, `'x'`, `"x"` or `` `x` `` behind the @. */
export function variableName(text: string): string {
  const quote = text[0]
  if (quote === "'" || quote === '"')
    return nameText(
      '`' +
        text
          .slice(1, -1)
          .replaceAll(quote + quote, quote)
          .replaceAll('`', '``') +
        '`',
    ).toLowerCase()
  return nameText(text).toLowerCase()
}
