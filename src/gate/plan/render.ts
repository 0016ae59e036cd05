/** Pieces of a plan as the text for one shard. */
import { literalValue } from '../../sql/literal.ts'
import { defaultMode, Kind, type Lexed, type LexerMode, tokenEnd, tokenKind, tokenStart } from '../../sql/lexer.ts'
import { escapeBinaryLiteral, escapeLiteral, quoteIdentifier } from '../../sql/quote.ts'
import type { Value } from '../../sql/value.ts'
import { planErrors } from './errors.ts'
import type { Piece, RouteInputs, Slot } from './plan.ts'

/** Text under construction: bytes, and which of the client's parameters its `?` stand for. */
export class Rendering<S> {
  readonly #parts: Buffer[] = []
  readonly parameters: number[] = []
  readonly #inputs: RouteInputs<S>
  readonly #shard: S
  readonly #limitAndOffset: bigint | null
  readonly #rows: readonly (readonly Piece[])[]
  readonly #gathered: readonly string[]

  /**
   * @param rows the texts of an INSERT's rows for this shard
   * @param gathered the table that holds each gathered step's rows
   */
  constructor(
    inputs: RouteInputs<S>,
    shard: S,
    limitAndOffset: bigint | null,
    rows: readonly (readonly Piece[])[],
    gathered: readonly string[] = [],
  ) {
    this.#gathered = gathered
    this.#inputs = inputs
    this.#shard = shard
    this.#limitAndOffset = limitAndOffset
    this.#rows = rows
  }

  add(pieces: readonly Piece[]): this {
    for (const piece of pieces) this.#piece(piece)
    return this
  }

  text(): Buffer {
    const only = this.#parts.length === 1 ? this.#parts[0] : undefined
    return only ?? Buffer.concat(this.#parts)
  }

  #piece(piece: Piece): void {
    const { lexed } = this.#inputs
    switch (piece.kind) {
      case 'span': {
        const { from, to } = piece.span
        // A space, so that two pieces never melt into one token. The client's own comments and spaces inside stay.
        if (this.#parts.length > 0) this.#parts.push(space)
        this.#parts.push(lexed.bytes.subarray(tokenStart(lexed, from), tokenEnd(lexed, to - 1)))
        if (lexed.parameters > 0) this.#countParameters(from, to)
        return
      }
      case 'text':
        this.#parts.push(Buffer.from(piece.text))
        return
      case 'columns':
        if (this.#inputs.text.startsWith('utf8') || isAscii(piece.text)) this.#parts.push(Buffer.from(piece.text))
        return
      case 'slot':
        if (piece.slot.kind === 'parameter') {
          this.#parts.push(question)
          this.parameters.push(piece.slot.index)
        } else if (piece.slot.kind === 'session') this.#piece({ kind: 'session', ref: piece.slot.ref })
        else this.#parts.push(literalOf(slotValue(piece.slot, this.#inputs), lexed.mode))
        return
      case 'session': {
        const value = this.#inputs.session(piece.ref)
        if (value.type === 'kept' && piece.ref.kind === 'user-variable') {
          this.#parts.push(space, Buffer.from(`@${quoteIdentifier(piece.ref.name)}`))
          return
        }
        const literal = literalOf(value, lexed.mode)
        // As strong as the variable against a column's collation, which a literal gives way to; and of the connection's, as the variable is.
        if (value.type === 'text' && piece.ref.kind === 'user-variable') {
          this.#parts.push(Buffer.from(' CAST('), literal, Buffer.from(' AS CHAR)'))
          return
        }
        // Bytewise beside a text column, as the variable.
        if (value.type === 'binary' && piece.ref.kind === 'user-variable') {
          this.#parts.push(Buffer.from(' CAST('), literal, Buffer.from(' AS BINARY)'))
          return
        }
        // A sum without a fraction, too, is written as an integer.
        const isPlace = piece.constant === true && /^-?\d+$/.test(literal.toString('latin1', 0, 70))
        this.#parts.push(space, isPlace ? Buffer.from(`(${literal} + 0)`) : literal)
        return
      }
      case 'limit-and-offset':
        this.#parts.push(Buffer.from(String(this.#limitAndOffset ?? 0n)))
        return
      case 'sequence-id':
        if (piece.given === null) this.#parts.push(Buffer.from(' NULL'))
        else this.#piece({ kind: 'span', span: piece.given })
        return
      case 'label':
        this.#parts.push(Buffer.from(quoteIdentifier(labelText(lexed, piece.span))))
        return
      case 'schema': {
        const name = this.#inputs.schemaOf(this.#shard)
        this.#parts.push(space, piece.as === 'name' ? Buffer.from(quoteIdentifier(name)) : escapeLiteral(Buffer.from(name)))
        return
      }
      case 'gathered':
        this.#parts.push(space, Buffer.from(quoteIdentifier(this.#gathered[piece.step] ?? '')))
        return
      case 'rows':
        this.#rows.forEach((row, i) => {
          this.#parts.push(i === 0 ? space : comma)
          this.add(row)
        })
        return
    }
  }

  /** Tokens of the `?`, in order. */
  #parameterTokens: number[] | null = null

  #countParameters(from: number, to: number): void {
    const { lexed } = this.#inputs
    if (this.#parameterTokens === null) {
      this.#parameterTokens = []
      for (let token = 0; token < lexed.count; token++) if (tokenKind(lexed, token) === Kind.Parameter) this.#parameterTokens.push(token)
    }
    const tokens = this.#parameterTokens
    let low = 0
    for (let high = tokens.length; low < high;) {
      const middle = (low + high) >> 1
      if ((tokens[middle] as number) < from) low = middle + 1
      else high = middle
    }
    for (; low < tokens.length && (tokens[low] as number) < to; low++) this.parameters.push(low)
  }
}

const isAscii = (name: string): boolean => Buffer.byteLength(name) === name.length
const space = Buffer.from(' ')
const comma = Buffer.from(', ')
const question = Buffer.from(' ?')

function labelText(lexed: Lexed, span: { from: number; to: number }): string {
  return lexed.bytes.toString('utf8', tokenStart(lexed, span.from), tokenEnd(lexed, span.to - 1))
}

export function slotValue<S>(slot: Slot, inputs: Pick<RouteInputs<S>, 'lexed' | 'parameters' | 'session'>): Value {
  switch (slot.kind) {
    case 'literal':
      // Text of another character set: a value that neither equals nor stores what we could compute.
      return literalValue(inputs.lexed, slot.span, slot.negative) ?? { type: 'double', value: Number.NaN }
    case 'parameter': {
      const value = inputs.parameters[slot.index]
      if (value === undefined) throw planErrors.parameterCount({ index: slot.index + 1 })
      return value
    }
    case 'constant':
      return slot.value
    case 'null':
    case 'default':
      return { type: 'null' }
    case 'session': {
      const value = inputs.session(slot.ref)
      return value.type === 'text' && slot.ref.kind === 'user-variable' ? { ...value, variable: true } : value
    }
  }
}

/** @param mode of the session whose server connection reads it: there a backslash may be a character like any other */
export function literalOf(value: Value, mode: LexerMode = defaultMode): Buffer {
  switch (value.type) {
    case 'null':
      return Buffer.from('NULL')
    case 'integer':
      return Buffer.from(value.value.toString())
    case 'decimal':
      return Buffer.from(value.text)
    case 'double':
      return Buffer.from(Number.isFinite(value.value) ? value.value.toExponential() : 'NULL')
    case 'text':
      if (value.time !== undefined) return Buffer.from(`${value.time}'${value.bytes.toString('latin1')}'`)
      return mode.noBackslashEscapes ? doubled(value.bytes) : escapeLiteral(value.bytes)
    case 'kept':
      return literalOf(value.shown, mode)
    case 'binary':
      return mode.noBackslashEscapes ? Buffer.concat([Buffer.from('_binary'), doubled(value.bytes)]) : escapeBinaryLiteral(value.bytes)
  }
}

function doubled(bytes: Buffer): Buffer {
  return Buffer.from(`'${bytes.toString('latin1').replaceAll("'", "''")}'`, 'latin1')
}
